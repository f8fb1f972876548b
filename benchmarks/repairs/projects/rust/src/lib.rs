//! Small things about texts and numbers.

pub mod crc;
pub mod roman;

/// The words of a text in lines of at most `width` characters; a longer word has a line of its own.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let needed = line.chars().count() + 1 + word.chars().count();
        if line.is_empty() {
            line.push_str(word);
        } else if needed <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(std::mem::replace(&mut line, word.to_string()));
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// Runs of equal characters, each with its length: "aab" is `[('a', 2), ('b', 1)]`.
pub fn runs(text: &str) -> Vec<(char, usize)> {
    let mut found: Vec<(char, usize)> = Vec::new();
    for letter in text.chars() {
        match found.last_mut() {
            Some((last, count)) if *last == letter => *count += 1,
            _ => found.push((letter, 1)),
        }
    }
    found
}

/// The place of the first element that is not smaller than `wanted`, in a sorted slice.
pub fn lower_bound<T: Ord>(sorted: &[T], wanted: &T) -> usize {
    let (mut low, mut high) = (0, sorted.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if sorted[middle] < *wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Closed ranges, sorted and with those that overlap or touch put together.
pub fn merged(ranges: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut sorted = ranges.to_vec();
    sorted.sort();
    let mut found: Vec<(i64, i64)> = Vec::new();
    for (start, end) in sorted {
        match found.last_mut() {
            Some(last) if start <= last.1 + 1 => last.1 = last.1.max(end),
            _ => found.push((start, end)),
        }
    }
    found
}

/// The chapters of a book, numbered as books do.
pub fn chapters(titles: &[&str]) -> Vec<String> {
    titles
        .iter()
        .enumerate()
        .map(|(place, title)| format!("{}. {title}", roman::roman(place as u32 + 1)))
        .collect()
}
