import java.util.List;
import java.util.Objects;
import java.util.Optional;

public final class PartsTest {
    private static void same(Object wanted, Object came, String what) {
        if (!Objects.equals(wanted, came)) {
            throw new AssertionError(what + ": expected " + wanted + ", got " + came);
        }
    }

    private static LeastRecent<String, Integer> filled() {
        LeastRecent<String, Integer> cache = new LeastRecent<>(2);
        cache.put("a", 1);
        cache.put("b", 2);
        return cache;
    }

    public static void main(String[] arguments) {
        LeastRecent<String, Integer> cache = filled();
        same(Optional.of(1), cache.get("a"), "get of a key");
        cache.put("c", 3);
        same(List.of("a", "c"), cache.keys(), "keys after a third one");
        same(Optional.empty(), cache.get("b"), "get of what was dropped");
        cache.put("a", 9);
        same(List.of("c", "a"), cache.keys(), "keys after a key was put again");
        same(0.5, cache.hitRate(), "hit rate");
        same(0.0, filled().hitRate(), "hit rate before the first call");

        same(List.of("a", "b,c", "d\"e", ""), Csv.parse("a,\"b,c\",\"d\"\"e\","), "parsed fields");
        same("a,\"b,c\",\"d\"\"e\",", Csv.format(List.of("a", "b,c", "d\"e", "")), "formatted fields");
        same("\"two\nlines\"", Csv.format(List.of("two\nlines")), "a field of two lines");

        same("\"main, first\",c a,50.0", Report.line("main, first", cache), "the report");

        for (int number = 0; number < 256; number++) {
            int value = number;
            for (int bit = 0; bit < 8; bit++) {
                value = (value & 1) == 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
            }
            String entry = String.format("0x%08x", Crc.TABLE[number]);
            same(String.format("0x%08x", value), entry, "entry " + number + " of the table");
        }
        same(0xcbf43926, Crc.crc32("123456789".getBytes()), "checksum");
        System.out.println("all right");
    }
}
