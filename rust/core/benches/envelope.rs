//! Envelopes: reading and writing them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use purista_core::message::{call, decode, Draft, Text};
use purista_core::{ids, MessageType};

/// An event with a payload of about this many bytes.
fn event(payload: usize) -> Vec<u8> {
    let payload =
        serde_json::to_vec(&vec!["0123456789 abcdefghijklmnopqrstuvwxyz"; payload / 40 + 1]).unwrap();
    let mut texts = [None; Text::COUNT];
    texts[Text::Id as usize] = Some("4bf92f3577b34da6a3ce929d0e0e4736");
    texts[Text::TraceId as usize] = Some("0af7651916cd43dd8448eb211c80319c");
    texts[Text::EventName as usize] = Some("readingStored");
    texts[Text::Traceparent as usize] = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let draft = Draft {
        message_type: MessageType::CustomMessage,
        texts,
        timestamp: Some(1_795_466_493_028),
        is_handled_error: None,
        sender: [
            Some("Thermo"),
            Some("1"),
            Some("storeReading"),
            Some("greenhouse_7"),
        ],
        receiver: None,
        payload: Some(&payload),
    };
    draft.encode().unwrap()
}

fn envelope(criterion: &mut Criterion) {
    for size in [100, 10_000, 10_000_000] {
        let data = event(size);
        let mut group = criterion.benchmark_group(format!("envelope/{size}"));
        group.throughput(Throughput::Bytes(data.len() as u64));
        if size > 1_000_000 {
            group.sample_size(10);
        }
        group.bench_function("decode", |bench| bench.iter(|| decode(black_box(&data)).unwrap()));
        let decoded = decode(&data).unwrap();
        group.bench_function("encode", |bench| {
            bench.iter(|| black_box(&decoded).draft().encode().unwrap());
        });
        group.bench_function("serde_json to a value, to compare", |bench| {
            bench.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(&data)).unwrap());
        });
    }
    let payload = br#"{"payload":{"sensor":"a","celsius":21.5},"parameter":{"site":"attic"}}"#;
    criterion.bench_function("call", |bench| bench.iter(|| call(black_box(payload)).unwrap()));
    criterion.bench_function("id", |bench| bench.iter(ids::new_id));
    criterion.bench_function("traceparent", |bench| {
        bench.iter(|| ids::traceparent(black_box(None)));
    });
}

criterion_group!(benches, envelope);
criterion_main!(benches);
