'use strict';

const assert = require('node:assert');
const { test } = require('node:test');

const { crc32, TABLE } = require('../src/crc.js');
const { formatQuery, merge, newest, parseQuery } = require('../src/query.js');
const { caret, compare, parse } = require('../src/versions.js');

test('versions are parsed', () => {
  assert.deepStrictEqual(parse('v1.2.3-rc.1'), { major: 1, minor: 2, patch: 3, tag: ['rc', '1'] });
  assert.throws(() => parse('1.2'));
});

test('versions are compared', () => {
  const sorted = ['1.0.0-1', '1.0.0-2', '1.0.0-10', '1.0.0-a', '1.0.0-a.1', '1.0.0', '1.0.1', '1.2.0', '1.10.0', '2.0.0'];
  assert.deepStrictEqual([...sorted].reverse().sort(compare), sorted);
  assert.strictEqual(newest(['1.2.0', '1.10.0', '1.9.9']), '1.10.0');
});

test('a caret allows what is compatible', () => {
  assert.ok(caret('1.9.0', '1.2.3'));
  assert.ok(!caret('2.0.0', '1.2.3'));
  assert.ok(!caret('1.2.2', '1.2.3'));
  assert.ok(!caret('0.3.0', '0.2.1'));
});

test('queries are parsed and formatted', () => {
  assert.deepStrictEqual({ ...parseQuery('?a=1&b=x+y&a=2&a=3&c') }, { a: ['1', '2', '3'], b: 'x y', c: '' });
  assert.strictEqual(parseQuery('a=b%3Dc=d').a, 'b=c=d');
  assert.strictEqual(formatQuery({ b: 'x y', a: [1, 2] }), 'a=1&a=2&b=x%20y');
});

test('settings are merged', () => {
  const base = { a: { b: 1, c: [1, 2] }, d: 4 };
  assert.deepStrictEqual(merge(base, { a: { c: [3], e: 5 }, d: null }), { a: { b: 1, c: [3], e: 5 } });
  assert.deepStrictEqual(base, { a: { b: 1, c: [1, 2] }, d: 4 });
});

test('the table of the checksum is right', () => {
  for (let byte = 0; byte < 256; byte += 1) {
    let value = byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    const shown = (number) => `0x${(number >>> 0).toString(16).padStart(8, '0')}`;
    assert.strictEqual(shown(TABLE[byte]), shown(value), `entry ${byte} is ${shown(TABLE[byte])}, not ${shown(value)}`);
  }
  assert.strictEqual(crc32(Buffer.from('123456789')), 0xcbf43926);
});
