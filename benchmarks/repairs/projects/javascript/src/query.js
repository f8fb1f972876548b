'use strict';

const { compare } = require('./versions.js');

function decode(text) {
  return decodeURIComponent(text.replace(/\+/g, ' '));
}

/** The parameters of a query; those that come several times are lists. */
function parseQuery(text) {
  const found = Object.create(null);
  for (const pair of text.replace(/^\?/, '').split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decode(at < 0 ? pair : pair.slice(0, at));
    const value = at < 0 ? '' : decode(pair.slice(at + 1));
    if (name in found) {
      found[name] = [].concat(found[name], value);
    } else {
      found[name] = value;
    }
  }
  return found;
}

/** A query of parameters, names in their order, so that equal ones have equal texts. */
function formatQuery(parameters) {
  const pairs = [];
  for (const name of Object.keys(parameters).sort()) {
    for (const value of [].concat(parameters[name])) {
      pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    }
  }
  return pairs.join('&');
}

/** Merge settings deeply; lists are replaced, and null takes a setting away. */
function merge(base, more) {
  const merged = { ...base };
  for (const [name, value] of Object.entries(more)) {
    const both = [merged[name], value].every((one) => one && typeof one === 'object' && !Array.isArray(one));
    if (value === null) {
      delete merged[name];
    } else {
      merged[name] = both ? merge(merged[name], value) : value;
    }
  }
  return merged;
}

/** The newest of several versions. */
function newest(versions) {
  return [...versions].sort(compare).at(-1);
}

module.exports = { parseQuery, formatQuery, merge, newest };
