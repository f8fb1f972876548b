import java.util.ArrayList;
import java.util.List;

/** Comma-separated values, as RFC 4180 has them. */
public final class Csv {
    static final char QUOTE = '"';

    private Csv() {}

    /** The fields of one line. */
    public static List<String> parse(String line) {
        List<String> fields = new ArrayList<>();
        StringBuilder field = new StringBuilder();
        boolean quoted = false;
        for (int place = 0; place < line.length(); place++) {
            char letter = line.charAt(place);
            if (quoted) {
                if (letter != QUOTE) {
                    field.append(letter);
                } else if (place + 1 < line.length() && line.charAt(place + 1) == QUOTE) {
                    field.append(QUOTE);
                    place++;
                } else {
                    quoted = false;
                }
            } else if (letter == QUOTE) {
                quoted = true;
            } else if (letter == ',') {
                fields.add(field.toString());
                field.setLength(0);
            } else {
                field.append(letter);
            }
        }
        fields.add(field.toString());
        return fields;
    }

    /** A line of fields, quoted where that is needed. */
    public static String format(List<String> fields) {
        List<String> written = new ArrayList<>();
        for (String field : fields) {
            written.add(needsQuotes(field) ? quoted(field) : field);
        }
        return String.join(",", written);
    }

    private static boolean needsQuotes(String field) {
        return field.indexOf(',') >= 0 || field.indexOf(QUOTE) >= 0 || field.indexOf('\n') >= 0;
    }

    private static String quoted(String field) {
        return QUOTE + field.replace("\"", "\"\"") + QUOTE;
    }
}
