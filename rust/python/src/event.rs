//! Messages that are events, and what belongs to them on their way through this process.

use std::sync::PoisonError;

use purista_core::message::{Address, Head, MessageId, Text};
use purista_core::{ids, MessageType, Texts};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::made::{now, Made};
use crate::message::Message;

impl Message {
    /// The id of the `ordinal`th event that the subscription `label` emits because of this message.
    pub fn derived_id(&self, label: &str, ordinal: u64) -> ids::Id {
        let kind = self.kind().as_str();
        let event_name = self.text(Text::EventName).unwrap_or_default();
        let cause = self.with_id(|id| format!("{kind} {} {event_name}", id.unwrap_or_default()));
        ids::derived(&cause, label, ordinal)
    }

    /// An event that is made now.
    pub fn event(
        id: ids::Id,
        name: &str,
        sender: &Address,
        [trace_id, principal_id, tenant_id]: [&Option<String>; 3],
        traceparent: &str,
        payload: Py<PyBytes>,
    ) -> Self {
        let mut texts = [None; Text::COUNT];
        texts[Text::TraceId as usize] = trace_id.as_deref();
        texts[Text::PrincipalId as usize] = principal_id.as_deref();
        texts[Text::TenantId as usize] = tenant_id.as_deref();
        texts[Text::EventName as usize] = Some(name);
        texts[Text::Traceparent as usize] = Some(traceparent);
        let head = Head {
            message_type: MessageType::CustomMessage,
            id: MessageId::Random(id),
            timestamp: Some(now()),
            is_handled_error: None,
            texts: Texts::new(texts),
            sender: sender.clone(),
            receiver: None,
        };
        Made {
            head,
            payload: Some(payload),
            is_checked: false,
        }
        .into()
    }

    /// Keeps the payload as one of this type, for the first who wants it so.
    pub fn keep(&self, kind: Py<PyAny>, value: Py<PyAny>) {
        let before = self.lock().replace((kind, value));
        drop(before);
    }

    /// The payload as one of this very type, once: it belongs to the one who takes it.
    pub fn take_kept(&self, kind: &Py<PyAny>) -> Option<Py<PyAny>> {
        let kept = self.lock().take_if(|(of, _)| of.is(kind));
        kept.map(|(_, value)| value)
    }

    /// Never held while Python runs.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Py<PyAny>, Py<PyAny>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
