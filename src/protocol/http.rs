//! HTTP: recognizing a web client at the nickname prompt.
//!
//! A web page can make a browser send an HTTP request to any port. A request consists of lines of text, and the
//! page chooses the lines of its body. So the body could join the room and send messages. The server recognizes a
//! request by its first line or by its `Host` header. Neither line can be a nickname, so no person is refused by
//! mistake.

/// Returns whether a line at the nickname prompt comes from a client that speaks HTTP.
///
/// A line in one of these two forms comes from such a client (RFC 9112, section 3):
///
/// ```text
/// METHOD SP target SP HTTP/version
/// Host: name
/// ```
///
/// The second form is needed when the request line is longer than the limit, because the text of such a line is
/// not kept.
///
/// ```
/// use chat::protocol::http::is_http;
/// assert!(is_http("GET / HTTP/1.1"));
/// assert!(is_http("Host: localhost:5555"));
/// assert!(!is_http("alice"));
/// ```
pub fn is_http(line: &str) -> bool {
    is_request_line(line) || is_host_header(line)
}

fn is_request_line(line: &str) -> bool {
    let Some((method, rest)) = line.split_once(' ') else { return false };
    let is_method_character = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !method.is_empty()
        && method.bytes().all(is_method_character)
        && rest.split(' ').any(|word| word.starts_with("HTTP/"))
}

/// HTTP/1.1 requires this header in every request. The name of a header is not case-sensitive.
fn is_host_header(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("host"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_from_all_that_a_person_types() {
        for request in [
            "GET / HTTP/1.1",
            "POST /chat?x=1 HTTP/1.0",
            "PRI * HTTP/2.0",
            "M-SEARCH * HTTP/1.1",
            "OPTIONS  HTTP/1.1",
            "GET /two words HTTP/1.1",
            "patch / HTTP/1.1",
            "Host: 127.0.0.1:5555",
            "host:x",
        ] {
            assert!(is_http(request), "{request:?}");
        }
        for other in [
            "",
            " ",
            "GET",
            "GET /",
            "HTTP/1.1",
            " HTTP/1.1",
            "alice HTTP",
            "/msg bob GET / HTTP/1.1",
            "host",
            "User-Agent: curl",
        ] {
            assert!(!is_http(other), "{other:?}");
        }
    }
}
