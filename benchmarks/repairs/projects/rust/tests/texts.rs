use texts::crc::{crc32, TABLE};
use texts::roman::{roman, value};
use texts::{chapters, lower_bound, merged, runs, wrap};

#[test]
fn lines_are_as_long_as_they_may_be() {
    assert_eq!(wrap("the quick brown fox", 9), ["the quick", "brown fox"]);
    assert_eq!(wrap("a extraordinarily b", 5), ["a", "extraordinarily", "b"]);
    assert_eq!(wrap("größe öäü x", 9), ["größe öäü", "x"]);
    assert!(wrap("  ", 5).is_empty());
}

#[test]
fn runs_are_counted() {
    assert_eq!(runs("aabaaa"), [('a', 2), ('b', 1), ('a', 3)]);
    assert!(runs("").is_empty());
}

#[test]
fn the_first_place_is_found() {
    let sorted = [1, 3, 3, 3, 7];
    let places: Vec<usize> = [0, 1, 2, 3, 7, 8].iter().map(|one| lower_bound(&sorted, one)).collect();
    assert_eq!(places, [0, 0, 1, 1, 4, 5]);
}

#[test]
fn ranges_are_put_together() {
    assert_eq!(merged(&[(5, 9), (1, 3), (4, 4), (20, 30), (22, 25)]), [(1, 9), (20, 30)]);
}

#[test]
fn numerals_go_both_ways() {
    for number in 1..4000 {
        assert_eq!(value(&roman(number)), Some(number));
    }
    assert_eq!(roman(1994), "MCMXCIV");
    assert_eq!([value("IIII"), value("IC"), value("x")], [None, None, None]);
    assert_eq!(chapters(&["A", "B", "C", "D"])[3], "IV. D");
    assert_eq!(chapters(&["A"])[0], "I. A");
}

#[test]
fn the_table_of_the_checksum_is_right() {
    for (byte, entry) in TABLE.iter().enumerate() {
        let mut value = byte as u32;
        for _ in 0..8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
        }
        assert_eq!(*entry, value, "entry {byte} is 0x{entry:08x}, not 0x{value:08x}");
    }
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}
