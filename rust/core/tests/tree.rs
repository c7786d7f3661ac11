//! The topic tree against a naive matcher.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use proptest::prelude::*;
use purista_core::TopicTree;

fn naive(filter: &str, topic: &str) -> bool {
    let filter = filter
        .strip_prefix("$share/")
        .map_or(filter, |rest| rest.split_once('/').unwrap().1);
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

fn filters() -> impl Strategy<Value = String> {
    let level = prop::sample::select(vec!["a", "b", "", "$s", "+", "+", "é"]);
    (
        prop::collection::vec(level, 1..7),
        any::<bool>(),
        prop::sample::select(vec!["", "", "$share/g/", "$share/h/"]),
    )
        .prop_map(|(levels, hash, share)| {
            let text = levels.join("/") + if hash { "/#" } else { "" };
            format!("{share}{}", if text.is_empty() { "#" } else { &text })
        })
}

fn topics() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$s", "é", "zz"]), 1..8)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("not empty", |topic| !topic.is_empty())
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String),
    Remove(prop::sample::Index),
    Match(String),
}

proptest! {
    #[test]
    fn behaves_as_a_list(steps in prop::collection::vec(
        prop_oneof![
            4 => filters().prop_map(Step::Insert),
            3 => any::<prop::sample::Index>().prop_map(Step::Remove),
            3 => topics().prop_map(Step::Match),
        ],
        0..80,
    )) {
        let mut tree = TopicTree::default();
        let mut list: Vec<(usize, String)> = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Insert(filter) => {
                    tree.insert(&filter, n).unwrap();
                    list.push((n, filter));
                }
                Step::Remove(index) if !list.is_empty() => {
                    let (value, filter) = list.swap_remove(index.index(list.len()));
                    prop_assert_eq!(tree.remove(&filter, |found| *found == value), Ok(Some(value)));
                    prop_assert_eq!(tree.remove(&filter, |found| *found == value), Ok(None));
                }
                Step::Remove(_) => prop_assert_eq!(tree.remove("a/+", |_| true), Ok(None)),
                Step::Match(topic) => {
                    let mut found = Vec::new();
                    tree.matches(&topic, |value| found.push(*value)).unwrap();
                    found.sort_unstable();
                    let mut expected: Vec<usize> =
                        list.iter().filter(|(_, filter)| naive(filter, &topic)).map(|(value, _)| *value).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(tree.len(), list.len());
            prop_assert_eq!(tree.all().count(), list.len());
        }
    }

    #[test]
    fn what_it_takes_is_what_mqtt_allows(filter in "[+#a/$\u{0}]{0,8}|\\$share/[+#a/]{0,5}") {
        let rest = match filter.strip_prefix("$share/") {
            Some(rest) => rest.split_once('/').filter(|(g, _)| !g.is_empty() && !g.contains(['+', '#'])).map(|(_, f)| f),
            None => Some(&*filter).filter(|filter| *filter != "$share"),
        };
        let allowed = !filter.contains('\0') && rest.is_some_and(|rest| {
            let levels: Vec<&str> = rest.split('/').collect();
            !rest.is_empty() && levels.iter().enumerate().all(|(n, level)| match *level {
                "+" => true,
                "#" => n + 1 == levels.len(),
                level => !level.contains(['+', '#']),
            })
        });
        let mut tree = TopicTree::default();
        prop_assert_eq!(tree.insert(&filter, ()).is_ok(), allowed);
        prop_assert_eq!(tree.remove(&filter, |()| true).is_ok(), allowed);
        prop_assert!(tree.is_empty());
    }
}

#[test]
fn a_deep_filter_does_not_exhaust_the_stack() {
    let mut tree = TopicTree::default();
    let deep = "/".repeat(65_533);
    tree.insert(&format!("{deep}+"), 0).unwrap();
    for length in (1..2000).step_by(7) {
        tree.insert(&format!("{}+", "/".repeat(length)), length).unwrap();
    }
    let mut found = Vec::new();
    tree.matches(&format!("{deep}x"), |value| found.push(*value))
        .unwrap();
    assert_eq!(found, [0]);
    assert!(tree.remove(&format!("{deep}+"), |_| true).unwrap().is_some());
}

#[test]
fn prefixes_do_not_hide_each_other() {
    let mut tree = TopicTree::default();
    for filter in ["+/b/c/d", "+/b/c", "+/b/x", "+/b/c/#", "+/b/#"] {
        tree.insert(filter, filter).unwrap();
    }
    let found = |tree: &TopicTree<&'static str>, topic| {
        let mut found = Vec::new();
        tree.matches(topic, |value| found.push(*value)).unwrap();
        found.sort_unstable();
        found
    };
    assert_eq!(found(&tree, "a/b/c"), ["+/b/#", "+/b/c", "+/b/c/#"]);
    assert_eq!(found(&tree, "a/b/c/d"), ["+/b/#", "+/b/c/#", "+/b/c/d"]);
    tree.remove("+/b/c", |_| true).unwrap();
    tree.remove("+/b/c/d", |_| true).unwrap();
    assert_eq!(found(&tree, "a/b/c"), ["+/b/#", "+/b/c/#"]);
    assert_eq!(found(&tree, "a/b"), ["+/b/#"]);
}
