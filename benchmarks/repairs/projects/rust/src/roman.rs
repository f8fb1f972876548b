//! Roman numerals.

const PARTS: [(u32, &str); 13] = [
    (1000, "M"),
    (900, "CM"),
    (500, "D"),
    (400, "CD"),
    (100, "C"),
    (90, "XC"),
    (50, "L"),
    (40, "XL"),
    (10, "X"),
    (9, "IX"),
    (5, "V"),
    (4, "IV"),
    (1, "I"),
];

/// A number as a roman numeral; empty for zero.
pub fn roman(number: u32) -> String {
    let mut rest = number;
    let mut text = String::new();
    for (value, letters) in PARTS {
        while rest >= value {
            text.push_str(letters);
            rest -= value;
        }
    }
    text
}

/// The value of a roman numeral; None for what is none.
pub fn value(text: &str) -> Option<u32> {
    let mut rest = text;
    let mut sum = 0;
    for (value, letters) in PARTS {
        while let Some(after) = rest.strip_prefix(letters) {
            sum += value;
            rest = after;
        }
    }
    (rest.is_empty() && roman(sum) == text).then_some(sum)
}
