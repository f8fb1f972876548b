/** CRC-32, by the table of its polynomial. */
public final class Crc {
    static final int[] TABLE = {
        // @TABLE@
    };

    private Crc() {}

    /** The checksum, as zlib computes it. */
    public static int crc32(byte[] data) {
        int value = 0xffffffff;
        for (byte one : data) {
            value = (value >>> 8) ^ TABLE[(value ^ one) & 0xff];
        }
        return value ^ 0xffffffff;
    }
}
