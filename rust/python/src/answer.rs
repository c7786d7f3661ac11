//! The answer to a command.

use purista_core::message::{Head, MessageId, Text};
use purista_core::{ids, MessageType, Texts};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::address::Address;
use crate::made::{now, Made};
use crate::message::Message;

/// The success response to a command.
#[pyfunction]
#[pyo3(signature = (command, sender, payload, event_name=None, is_checked=false))]
pub fn answer(
    command: &Bound<'_, Message>,
    sender: &Bound<'_, Address>,
    payload: Option<Py<PyBytes>>,
    event_name: Option<&str>,
    is_checked: bool,
) -> PyResult<Message> {
    let py = command.py();
    let command = command.get();
    let text = |text: Text| command.text(text);
    let traceparent = ids::traceparent(text(Text::Traceparent));
    let trace_id = text(Text::TraceId).filter(|id| !id.is_empty());
    let (id, texts) = command.with_id(|id| {
        // In the order of `Text`.
        let texts = Texts::new([
            id,
            trace_id.or_else(|| ids::trace_of(&traceparent)),
            text(Text::CorrelationId),
            text(Text::PrincipalId),
            text(Text::TenantId),
            event_name,
            None,
            None,
            Some(&traceparent),
            None,
        ]);
        let id = if id.is_some() {
            MessageId::Given
        } else {
            MessageId::Random(ids::new_id())
        };
        (id, texts)
    });
    let head = Head {
        message_type: MessageType::CommandSuccessResponse,
        id,
        timestamp: Some(now()),
        is_handled_error: None,
        texts,
        sender: sender.get().0.clone(),
        receiver: Some(command.sender_address(py)?),
    };
    Ok(Made {
        head,
        payload,
        is_checked,
    }
    .into())
}
