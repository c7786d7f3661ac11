"""The errors that travel between services, and those that tell a developer what to change."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Self

__all__ = (
    "BridgeError",
    "ConfigError",
    "DefinitionError",
    "HandledError",
    "PayloadError",
    "PuristaError",
    "ServiceError",
    "StatusCode",
    "UnhandledError",
)


class StatusCode(IntEnum):
    """The status of an error, with its default message (PURISTA's ``StatusCode``).

    >>> StatusCode.NOT_FOUND.value, StatusCode.NOT_FOUND.message
    (404, 'Not Found')
    """

    message: str

    def __new__(cls, code: int, message: str = "") -> Self:
        """Makes a member of its code and its message."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.message = message
        return member

    INFO_CONTINUE = 100, "Info Continue"
    INFO_SWITCHING_PROTOCOLS = 101, "Info Switching Protocols"
    INFO_PROCESSING = 102, "Info Processing"
    OK = 200, "OK"
    CREATED = 201, "Created"
    ACCEPTED = 202, "Accepted"
    NON_AUTHORITATIVE_INFO = 203, "Non Authoritative Info"
    NO_CONTENT = 204, "No Content"
    RESET_CONTENT = 205, "Reset Content"
    PARTIAL_CONTENT = 206, "Partial Content"
    MULTI_STATUS = 207, "Multi Status"
    ALREADY_REPORTED = 208, "Already Reported"
    IM_USED = 229, "IM Used"
    REDIRECT_MULTIPLE_CHOICES = 300, "Redirect Multiple Choices"
    REDIRECT_MOVED_PERMANENTLY = 301, "Redirect Moved Permanently"
    REDIRECT_FOUND = 302, "Redirect Found"
    REDIRECT_SEE_OTHER = 303, "Redirect See Other"
    REDIRECT_NOT_MODIFIED = 304, "Redirect Not Modified"
    REDIRECT_USE_PROXY = 305, "Redirect Use Proxy"
    REDIRECT_SWITCH_PROXY = 306, "Redirect Switch Proxy"
    REDIRECT_TEMP = 307, "Redirect Temp"
    REDIRECT_PERMANENT = 308, "Redirect Permanent"
    BAD_REQUEST = 400, "Bad Request"
    UNAUTHORIZED = 401, "Unauthorized"
    PAYMENT_REQUIRED = 402, "Payment Required"
    FORBIDDEN = 403, "Forbidden"
    NOT_FOUND = 404, "Not Found"
    METHOD_NOT_ALLOWED = 405, "Method Not Allowed"
    NOT_ACCEPTABLE = 406, "Not Acceptable"
    PROXY_AUTH_REQUIRED = 407, "Proxy Auth Required"
    REQUEST_TIMEOUT = 408, "Request Timeout"
    CONFLICT = 409, "Conflict"
    GONE = 410, "Gone"
    LENGTH_REQUIRED = 411, "Length Required"
    PRECONDITION_FAILED = 412, "Precondition Failed"
    PAYLOAD_TOO_LARGE = 413, "Payload Too Large"
    URI_TOO_LONG = 414, "URI Too Long"
    UNSUPPORTED_MEDIA_TYPE = 415, "Unsupported Media Type"
    RANGE_NOT_SATISFIABLE = 416, "Range Not Satisfiable"
    EXPECTATION_FAILED = 417, "Expectation Failed"
    IM_A_TEAPOT = 418, "Im A Teapot"
    MISDIRECTED_REQUEST = 421, "Misdirected Request"
    UNPROCESSABLE_ENTITY = 422, "Unprocessable Entity"
    LOCKED = 423, "Locked"
    UPGRADE_REQUIRED = 426, "Upgrade Required"
    PRECONDITION_REQUIRED = 428, "Precondition Required"
    TOO_MANY_REQUESTS = 429, "Too Many Requests"
    REQUEST_HEADER_FIELDS_TOO_LARGE = 431, "Request Header Fields Too Large"
    LOGIN_TIME_OUT = 440, "Login Time Out"
    RETRY_WITH = 449, "Retry With"
    UNAVAILABLE_FOR_LEGAL_REASONS = 451, "Unavailable For Legal Reasons"
    INVALID_TOKEN = 498, "Invalid Token"
    TOKEN_REQUIRED = 499, "Token Required"
    INTERNAL_SERVER_ERROR = 500, "Internal Server Error"
    NOT_IMPLEMENTED = 501, "Not Implemented"
    BAD_GATEWAY = 502, "Bad Gateway"
    SERVICE_UNAVAILABLE = 503, "Service Unavailable"
    GATEWAY_TIMEOUT = 504, "Gateway Timeout"
    HTTP_VERSION_NOT_SUPPORTED = 505, "HTTP Version Not Supported"
    VARIANT_ALSO_NEGOTIATES = 506, "Variant Also Negotiates"
    INSUFFICIENT_STORAGE = 507, "Insufficient Storage"
    LOOP_DETECTED = 508, "Loop Detected"
    BANDWIDTH_LIMIT_EXCEEDED = 509, "Bandwidth Limit Exceeded"
    NOT_EXTENDED = 510, "Not Extended"
    NETWORK_AUTH_REQUIRED = 511, "Network Auth Required"


class PuristaError(Exception):
    """The root of every error that purista-fast raises on purpose."""


class DefinitionError(PuristaError):
    """Raised while services are written or put together: a handler, filter or name that cannot work."""


class ConfigError(PuristaError):
    """Raised for configuration that is missing, unknown or of the wrong type; names file and key."""


class PayloadError(PuristaError, ValueError):
    """Raised where a payload is sent that does not fit the declared type; ``problems`` lists all that is wrong."""

    def __init__(self, message: str, problems: list[dict[str, Any]]) -> None:
        self.problems = problems
        super().__init__(f"{message}: {problems}")


class BridgeError(PuristaError):
    """Raised when a bridge cannot start or go on: no broker, refused credentials, a missing capability."""


class ServiceError(PuristaError):
    """What a caller gets when its command fails: either a :class:`HandledError` or an :class:`UnhandledError`.

    ``trace_id`` is that of the failed message, if it is known.
    """

    is_final = False
    """Whether the same message would fail again, however often it is tried."""

    def __init__(
        self,
        status: int = StatusCode.INTERNAL_SERVER_ERROR,
        message: str | None = None,
        data: Any = None,
        *,
        trace_id: str | None = None,
    ) -> None:
        self.status = _status(status)
        self.message = _default_message(self.status) if message is None else message
        self.data = data
        self.trace_id = trace_id
        super().__init__(self.status, self.message, data)

    def __str__(self) -> str:
        return (
            f"{int(self.status)} {self.message}"
            if self.data is None
            else f"{int(self.status)} {self.message} {self.data!r}"
        )


class HandledError(ServiceError):
    """An error that the caller is meant to see: status, message and data reach it as they are.

    Raise it in a handler or guard for everything that the caller can do something about.

    >>> error = HandledError(StatusCode.BAD_REQUEST, "colder than possible", {"celsius": -300})
    >>> error.status, error.message, error.data
    (<StatusCode.BAD_REQUEST: 400>, 'colder than possible', {'celsius': -300})
    """


class UnhandledError(ServiceError):
    """An error that says nothing but a status: a crash of the other side (500), nobody there (502), no room in
    time (503), no answer in time (504: unknown, not undone).

    The detail of a crash is in the log of the process in which it happened.
    """


def _status(code: int) -> int:
    """The code as a StatusCode where it is one; others may come from other languages."""
    try:
        return StatusCode(code)
    except ValueError:
        return int(code)


def _default_message(code: int) -> str:
    return code.message if isinstance(code, StatusCode) else f"Status {code}"
