import java.util.List;
import java.util.Locale;

/** What a cache has done, as a line of CSV. */
public final class Report {
    private Report() {}

    /** The name of a cache, its keys and its hit rate in per cent. */
    public static String line(String name, LeastRecent<String, ?> cache) {
        String keys = String.join(" ", cache.keys());
        return Csv.format(List.of(name, keys, String.format(Locale.ROOT, "%.1f", 100 * cache.hitRate())));
    }
}
