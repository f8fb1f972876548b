'use strict';

/** CRC-32, by the table of its polynomial. */
const TABLE = [
  // @TABLE@
];

function crc32(data) {
  let value = 0xffffffff;
  for (const byte of data) value = (value >>> 8) ^ TABLE[(value ^ byte) & 0xff];
  return (value ^ 0xffffffff) >>> 0;
}

module.exports = { crc32, TABLE };
