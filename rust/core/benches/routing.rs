//! Routing among subscriptions that do not match, and the registry of pending answers.
#![allow(missing_docs)] // of what the macros of criterion make

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion};
use purista_core::{AddressRef, Dispatcher, Effects, Fields, Filter, MessageType, Overflow, Pending};

fn event(name: &str) -> Fields<'_> {
    let sender = AddressRef {
        service_name: "Thermo",
        service_version: "1",
        service_target: "store",
        instance_id: "i",
    };
    Fields {
        message_type: MessageType::CustomMessage,
        event_name: name,
        principal_id: "",
        tenant_id: "",
        sender,
        receiver: None,
    }
}

fn dispatch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("offer and take, one match among");
    for others in [0, 1_000, 100_000] {
        let mut dispatcher = Dispatcher::default();
        for n in 0..=others {
            let id = dispatcher.subscribe(16, Overflow::DropOldest);
            let mut filter = Filter {
                message_type: Some(MessageType::CustomMessage),
                ..Filter::default()
            };
            filter.texts[0] = format!("event{n}").into();
            dispatcher.listen(id, filter);
        }
        let fields = event("event0");
        group.bench_function(BenchmarkId::from_parameter(others), |bencher| {
            bencher.iter(|| {
                dispatcher.offer(&fields, || 1_u64, &mut Effects::default());
                dispatcher.take(0, 64, |item| {
                    std::hint::black_box(item);
                })
            });
        });
    }
    group.finish();
}

fn pending(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("insert and remove a call, pending");
    for waiting in [0_u64, 1_000, 100_000] {
        let mut pending = Pending::default();
        for n in 0..waiting {
            pending.insert(&format!("{n:032x}"), n, n);
        }
        group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
            bencher.iter(|| {
                pending.insert("ffffffffffffffffffffffffffffffff", 0, 50);
                pending.remove("ffffffffffffffffffffffffffffffff")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch, pending);
criterion_main!(benches);
