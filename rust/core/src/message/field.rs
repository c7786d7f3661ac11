//! The names of the header fields.

macro_rules! texts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A header field that holds text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Text { $($(#[$doc])* $variant),+ }

        impl Text {
            /// Every one of them.
            pub const ALL: &'static [Self] = &Self::ALL_OF;

            /// The same, with their number.
            pub const ALL_OF: [Self; [$($name),+].len()] = [$(Self::$variant),+];

            /// Its name in the envelope.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What stands before its value in the envelope.
            pub(super) const fn member(self) -> &'static str {
                match self { $(Self::$variant => concat!(",\"", $name, "\":\"")),+ }
            }

            /// The same without the comma.
            pub(super) const fn key(self) -> &'static [u8] {
                match self { $(Self::$variant => concat!("\"", $name, "\":\"").as_bytes()),+ }
            }

            /// The field of the envelope with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                let found = match name { $($name => Some(Self::$variant),)+ _ => None };
                // The trace context does not stand in the envelope but inside `otp`.
                found.filter(|text| !matches!(text, Self::Traceparent | Self::Tracestate))
            }
        }
    };
}

texts! {
    /// The message's own id; a response repeats its command's.
    Id = "id",
    /// Joins what belongs to one request.
    TraceId = "traceId",
    /// Joins a response to its command.
    CorrelationId = "correlationId",
    /// On whose behalf.
    PrincipalId = "principalId",
    /// In whose realm.
    TenantId = "tenantId",
    /// The event.
    EventName = "eventName",
    /// `application/json` where absent.
    ContentType = "contentType",
    /// `utf-8` where absent.
    ContentEncoding = "contentEncoding",
    /// W3C trace context, inside `otp`.
    Traceparent = "traceparent",
    /// W3C trace context, inside `otp`.
    Tracestate = "tracestate",
}

impl Text {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();
}

/// The fields of an address in their usual order, and which of them these are as paths of the two addresses.
pub const ADDRESS: [(&str, &str, &str); 4] = [
    ("serviceName", "sender.serviceName", "receiver.serviceName"),
    (
        "serviceVersion",
        "sender.serviceVersion",
        "receiver.serviceVersion",
    ),
    ("serviceTarget", "sender.serviceTarget", "receiver.serviceTarget"),
    ("instanceId", "sender.instanceId", "receiver.instanceId"),
];
