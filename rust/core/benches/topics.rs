//! Topics: names, filters, and the tree.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion};
use purista_core::topic::{message_topic, topic_agrees};
use purista_core::{snake_case, AddressRef, Fields, MessageType, TopicTree};

fn names(criterion: &mut Criterion) {
    let fields = Fields {
        message_type: MessageType::CustomMessage,
        event_name: "readingStored",
        principal_id: "",
        tenant_id: "tenant-1",
        sender: AddressRef {
            service_name: "Thermo",
            service_version: "1",
            service_target: "storeReading",
            instance_id: "4bf92f3577b34da6a3ce929d0e0e4736",
        },
        receiver: None,
    };
    let topic = message_topic(&fields, "purista", "__none__").unwrap();
    criterion.bench_function("topic/snake_case", |bench| {
        bench.iter(|| snake_case(black_box("storeReading")));
    });
    criterion.bench_function("topic/message", |bench| {
        bench.iter(|| message_topic(black_box(&fields), "purista", "__none__"));
    });
    criterion.bench_function("topic/agrees", |bench| {
        bench.iter(|| topic_agrees(black_box(&fields), &topic, "purista", "__none__"));
    });
}

fn tree(criterion: &mut Criterion) {
    for count in [10, 1_000, 100_000] {
        let mut tree = TopicTree::default();
        for n in 0..count {
            tree.insert(
                &format!("purista/+/+/+/+/service_{}/1/+/event_{n}/+/+/+", n % 50),
                n,
            )
            .unwrap();
            tree.insert(
                &format!("purista/command/none/none/i/service_{n}/1/t/none/none/none/none"),
                n,
            )
            .unwrap();
        }
        let mut group = criterion.benchmark_group(format!("tree/{count}"));
        for (name, topic) in [
            (
                "by wildcards",
                "purista/custom_message/none/none/i/service_7/1/t/event_7/none/none/none",
            ),
            (
                "exactly",
                "purista/command/none/none/i/service_7/1/t/none/none/none/none",
            ),
            (
                "not at all",
                "purista/custom_message/none/none/i/service_7/1/t/nothing/none/none/none",
            ),
        ] {
            group.bench_function(name, |bench| {
                bench.iter(|| {
                    let mut found = 0;
                    tree.matches(black_box(topic), |_| found += 1).unwrap();
                    found
                });
            });
        }
        group.bench_function("insert and remove", |bench| {
            bench.iter(|| {
                tree.insert("purista/+/+/+/+/service_7/1/+/other/+/+/+", 0)
                    .unwrap();
                tree.remove("purista/+/+/+/+/service_7/1/+/other/+/+/+", |_| true)
                    .unwrap()
            });
        });
    }
}

criterion_group!(benches, names, tree);
criterion_main!(benches);
