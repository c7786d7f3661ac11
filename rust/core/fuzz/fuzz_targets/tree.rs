//! The topic tree against a list. A line is a step: `+filter`, `-filter`, or a topic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purista_core::TopicTree;

fn matches(filter: &str, topic: &str) -> bool {
    let filter = filter
        .strip_prefix("$share/")
        .map_or(filter, |rest| rest.split_once('/').expect("a group").1);
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut found = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, found.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(found)) if wanted == found => {}
            _ => return false,
        }
    }
    found.next().is_none()
}

fuzz_target!(|text: &str| {
    let mut tree = TopicTree::default();
    let mut list: Vec<(usize, &str)> = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if let Some(filter) = line.strip_prefix('+') {
            if tree.insert(filter, n).is_ok() {
                list.push((n, filter));
            }
        } else if let Some(filter) = line.strip_prefix('-') {
            let at = list.iter().rposition(|(_, other)| *other == filter);
            let expected = at.map(|at| list.remove(at).0);
            assert_eq!(tree.remove(filter, |_| true).unwrap_or_default(), expected);
        } else {
            let mut found = Vec::new();
            if tree.matches(line, |value| found.push(*value)).is_ok() {
                found.sort_unstable();
                let expected: Vec<usize> = list
                    .iter()
                    .filter(|(_, filter)| matches(filter, line))
                    .map(|(value, _)| *value)
                    .collect();
                assert_eq!(found, expected);
            }
        }
        assert_eq!((tree.len(), tree.all().count()), (list.len(), list.len()));
    }
});
