//! CRC-32, by the table of its polynomial.

pub const TABLE: [u32; 256] = [
    // @TABLE@
];

/// The checksum, as zlib computes it.
pub fn crc32(data: &[u8]) -> u32 {
    let mut value = u32::MAX;
    for byte in data {
        value = (value >> 8) ^ TABLE[((value ^ u32::from(*byte)) & 0xff) as usize];
    }
    value ^ u32::MAX
}
