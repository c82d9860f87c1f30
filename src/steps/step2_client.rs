//! Step 2: a client, which sends what is typed and prints what comes.
//!
//! **New here.** The other end of a connection: `connect` asks for one, and what it returns is a
//! stream like that of the server. A stream is bytes without end, so this client adds a line end to
//! what it sends and takes everything up to the next line end for the answer.
//!
//! **To try.** With the echo server of step 1 in the first terminal. `quit` and `exit` end the
//! client.
//!
//! ```console
//! 1$ cargo run -q --example step1_echo_server
//! 1  Listening on 127.0.0.1:7007
//! 2$ cargo run -q --example step2_client
//! 2  Connected to 127.0.0.1:7007
//! 2> hello
//! 2  hello
//! 2> quit
//! 2  Goodbye!
//! 2$ cargo run -q --example step2_client
//! 2  Connected to 127.0.0.1:7007
//! 2> exit
//! 2  Goodbye!
//! ```
//!
//! **Still wrong.** The client listens only right after it has spoken. Give it a server that speaks
//! twice (here `nc -l`, a server that is typed by hand) and the second line has to wait until the
//! client has something to say:
//!
//! ```console
//! 1$ nc -lv 127.0.0.1 7007
//! 1  Listening on ...
//! 2$ cargo run -q --example step2_client
//! 1  Connection received on ...
//! 2  Connected to 127.0.0.1:7007
//! 2> hello
//! 1  hello
//! 1> welcome
//! 1> are you listening?
//! 2  welcome
//! 2> yes
//! 1  yes
//! 2  are you listening?
//! ```
//!
//! Blocked in one call, a thread cannot wait in another: step 3 takes two threads. And a server
//! that never ends its line makes `read_line` take memory without end.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

fn main() -> io::Result<()> {
    let port = env::args().nth(1).unwrap_or("7007".to_owned());
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    println!("Connected to {}", stream.peer_addr()?);
    // A second handle on the same connection, to read lines through a buffer.
    let mut answers = BufReader::new(stream.try_clone()?);
    for line in io::stdin().lines() {
        let line = line?;
        if line == "quit" || line == "exit" {
            println!("Goodbye!");
            break;
        }
        stream.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if answers.read_line(&mut answer)? == 0 {
            println!("The server has closed the connection.");
            break;
        }
        print!("{answer}");
    }
    Ok(())
}
