'use strict';

/** A version as its parts; throws for what is none. */
function parse(text) {
  const found = /^v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?$/.exec(text.trim());
  if (!found) {
    throw new Error(`expected a version such as 1.2.3, got ${JSON.stringify(text)}`);
  }
  const [major, minor, patch] = found.slice(1, 4).map(Number);
  return { major, minor, patch, tag: found[4] ? found[4].split('.') : [] };
}

function compareNumbers(left, right) {
  return Math.sign(left - right);
}

/** Tags compare part by part: numbers by value and before words, and no tag at all comes last. */
function compareTags(left, right) {
  if (left.length === 0 || right.length === 0) {
    return compareNumbers(right.length === 0 ? 0 : 1, left.length === 0 ? 0 : 1);
  }
  for (let place = 0; place < Math.max(left.length, right.length); place += 1) {
    const [one, other] = [left[place], right[place]];
    if (one === undefined) return -1;
    if (other === undefined) return 1;
    const [oneIsNumber, otherIsNumber] = [/^\d+$/.test(one), /^\d+$/.test(other)];
    if (oneIsNumber && otherIsNumber && Number(one) !== Number(other)) {
      return compareNumbers(Number(one), Number(other));
    }
    if (oneIsNumber !== otherIsNumber) return oneIsNumber ? -1 : 1;
    if (one !== other) return one < other ? -1 : 1;
  }
  return 0;
}

/** Negative, zero or positive, as for sort. */
function compare(left, right) {
  const [one, other] = [parse(left), parse(right)];
  for (const part of ['major', 'minor', 'patch']) {
    if (one[part] !== other[part]) return compareNumbers(one[part], other[part]);
  }
  return compareTags(one.tag, other.tag);
}

/** Whether a version is allowed by ^1.2.3: the same major version, and not older. */
function caret(version, base) {
  const [one, other] = [parse(version), parse(base)];
  if (one.major !== other.major) return false;
  if (other.major === 0 && one.minor !== other.minor) return false;
  return compare(version, base) >= 0;
}

module.exports = { parse, compare, caret };
