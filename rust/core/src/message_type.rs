//! The kinds of messages (PURISTA's `EBMessageType`).

macro_rules! message_types {
    ($($(#[$doc:meta])* $variant:ident = $wire:literal / $level:literal),+ $(,)?) => {
        /// What a message is. The set is closed: a message of any other type is refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum MessageType { $($(#[$doc])* $variant),+ }

        impl MessageType {
            /// Every type, in the order of PURISTA's own list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the `messageType` field.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $wire),+ }
            }

            /// The name as a topic level, after the `snake_case` conversion.
            pub const fn level(self) -> &'static str {
                match self { $(Self::$variant => $level),+ }
            }

            /// The type with this name in the `messageType` field.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

message_types! {
    /// A call that expects an answer.
    Command = "command" / "command",
    /// The result of a command.
    CommandSuccessResponse = "commandSuccessResponse" / "command_success_response",
    /// The failure of a command.
    CommandErrorResponse = "commandErrorResponse" / "command_error_response",
    /// An event.
    CustomMessage = "customMessage" / "custom_message",
    /// A service begins to start.
    InfoServiceInit = "infoServiceInit" / "info_service_init",
    /// A service answers from now on.
    InfoServiceReady = "infoServiceReady" / "info_service_ready",
    /// A service does not answer at the moment.
    InfoServiceNotReady = "infoServiceNotReady" / "info_service_not_ready",
    /// A service announces one of its commands or subscriptions.
    InfoServiceFunctionAdded = "infoServiceFunctionAdded" / "info_service_function_added",
    /// A service takes nothing new and finishes what it has.
    InfoServiceDrain = "infoServiceDrain" / "info_service_drain",
    /// A service has stopped.
    InfoServiceShutdown = "infoServiceShutdown" / "info_service_shutdown",
    /// An invocation had no answer in time.
    InfoInvokeTimeout = "infoInvokeTimeout" / "info_invoke_timeout",
    /// A subscription failed on a message.
    InfoSubscriptionError = "infoSubscriptionError" / "info_subscription_error",
}

impl MessageType {
    /// A command or one of its two answers: these carry a receiver and a correlation id.
    pub const fn is_call(self) -> bool {
        matches!(
            self,
            Self::Command | Self::CommandSuccessResponse | Self::CommandErrorResponse
        )
    }

    /// An answer to a command.
    pub const fn is_response(self) -> bool {
        matches!(self, Self::CommandSuccessResponse | Self::CommandErrorResponse)
    }

    /// A message of the framework about its services; it never has a receiver.
    pub const fn is_info(self) -> bool {
        !matches!(self, Self::CustomMessage) && !self.is_call()
    }
}
