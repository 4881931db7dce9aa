//! The order of keys in a mapping of Go: numbers inside keys count as numbers (`a2` before `a10`), letters come before
//! other characters or, behind a digit, after them (go.yaml.in/yaml, `sorter.go`).

use std::cmp::Ordering;

use crate::tree::Map;

/// Sorts a mapping. The order isn't a total one (neither is it Go's), which the standard library's sort may refuse.
pub(super) fn sort(map: &mut Map) {
    let keys: Vec<Vec<char>> = map.keys().map(|k| k.chars().collect()).collect();
    if keys.is_sorted_by(|a, b| compare(a, b) != Ordering::Greater) {
        return;
    }
    let order = merge_sort(keys.len(), &|a, b| compare(&keys[a], &keys[b]));
    let mut rank = vec![0; order.len()];
    for (place, index) in order.into_iter().enumerate() {
        rank[index] = place;
    }
    let mut entries: Vec<_> = std::mem::take(map).into_iter().zip(rank).collect();
    entries.sort_by_key(|(_, rank)| *rank);
    map.extend(entries.into_iter().map(|(entry, _)| entry));
}

/// The indices below `n` in order, stable, whatever `compare` says.
fn merge_sort(n: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut from: Vec<usize> = (0..n).collect();
    let mut to = Vec::with_capacity(n);
    let mut width = 1;
    while width < n {
        to.clear();
        for pair in from.chunks(2 * width) {
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let ([l, left_rest @ ..], [r, right_rest @ ..]) = (left, right) {
                if compare(*r, *l) == Ordering::Less {
                    to.push(*r);
                    right = right_rest;
                } else {
                    to.push(*l);
                    left = left_rest;
                }
            }
            to.extend_from_slice(left);
            to.extend_from_slice(right);
        }
        std::mem::swap(&mut from, &mut to);
        width *= 2;
    }
    from
}

fn compare(a: &[char], b: &[char]) -> Ordering {
    let Some(i) = a.iter().zip(b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    let (al, bl) = (a[i].is_alphabetic(), b[i].is_alphabetic());
    if al && bl {
        return a[i].cmp(&b[i]);
    }
    let before = || a[..i].iter().rev().take_while(|c| c.is_ascii_digit());
    if al || bl {
        let less = if before().next().is_some() { al } else { bl };
        return if less { Ordering::Less } else { Ordering::Greater };
    }
    // A zero inside a number isn't a leading one.
    let inside = (a[i] == '0' || b[i] == '0') && before().any(|c| *c != '0');
    let number = |c: &[char]| -> (u64, usize) {
        let digits = c[i..].iter().map_while(|c| c.to_digit(10));
        digits
            .fold((u64::from(inside), 0), |(n, len), d| (n.wrapping_mul(10).wrapping_add(d.into()), len + 1))
    };
    number(a).cmp(&number(b)).then(a[i].cmp(&b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker_compose_sorts() {
        let keys = ["V1a", "V1", "V2", "V02", "V002", "V12", "V19", "V20", "V100", "V_1", "VA", "a1b", "a1_"];
        let keys: Vec<Vec<char>> = keys.iter().map(|k| k.chars().collect()).collect();
        let order = merge_sort(keys.len(), &|a, b| compare(&keys[a], &keys[b]));
        let sorted: Vec<String> = order.iter().map(|i| keys[*i].iter().collect()).collect();
        assert_eq!(sorted.join(" "), "V_1 V1 V1a V2 V02 V002 V12 V19 V20 V100 VA a1b a1_");
    }
}
