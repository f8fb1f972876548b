import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A cache that drops what was not used for longest. */
public final class LeastRecent<K, V> {
    private final int capacity;
    private final Map<K, V> values = new HashMap<>();
    private final Deque<K> order = new ArrayDeque<>();
    private int hits;
    private int misses;

    public LeastRecent(int capacity) {
        if (capacity < 1) {
            throw new IllegalArgumentException("expected a capacity of 1 or more, got " + capacity);
        }
        this.capacity = capacity;
    }

    /** The value of a key, which counts as a use. */
    public Optional<V> get(K key) {
        if (!values.containsKey(key)) {
            misses++;
            return Optional.empty();
        }
        hits++;
        touch(key);
        return Optional.of(values.get(key));
    }

    /** Keep a value; drops another one if there is no room. */
    public void put(K key, V value) {
        if (!values.containsKey(key) && values.size() == capacity) {
            values.remove(order.removeFirst());
        }
        values.put(key, value);
        touch(key);
    }

    /** The keys, the one that is dropped next first. */
    public List<K> keys() {
        return new ArrayList<>(order);
    }

    /** The share of calls of get that found something; 0 before the first. */
    public double hitRate() {
        int calls = hits + misses;
        return calls == 0 ? 0.0 : (double) hits / calls;
    }

    private void touch(K key) {
        order.remove(key);
        order.addLast(key);
    }
}
