//! Step 3: a client with a name and two threads, which shows messages while one types.
//!
//! **New here.** A thread of its own receives: it blocks in `read` while the main thread blocks in
//! reading the keyboard, and neither waits for the other. Both use the same connection; one end of
//! it may be read and written at once. The first line that the client sends is its name.
//!
//! **To try.** With `nc -l` as the server, typed by hand. Whatever it says shows up at once, while
//! the client waits for the keyboard; `quit` and `exit` end the client.
//!
//! ```console
//! 1$ nc -lv 127.0.0.1 7007
//! 1  Listening on ...
//! 2$ cargo run -q --example step3_two_threads alice
//! 1  Connection received on ...
//! 1  alice
//! 1> hello alice
//! 2  alice> hello alice
//! 1> are you listening?
//! 2  are you listening?
//! 2> all the time
//! 1  all the time
//! 2> alice> quit
//! 2  Goodbye!
//! ```
//!
//! (`2> alice> quit` is: type `quit` when there is the prompt `alice> `.)
//!
//! **Still wrong.** Both threads write to one terminal, and neither knows of the other: `hello
//! alice` landed behind the prompt, where `alice` may have been typing. The process ends as soon as
//! the keyboard does, also when an answer is still on its way. What comes is shown as it comes, a
//! character that is cut in two by a read and the escape sequences of strangers included. And the
//! server that brings many of these clients together is yet to come, in step 4.

use std::env;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::process;
use std::thread;

fn main() -> io::Result<()> {
    let name = env::args().nth(1).unwrap_or("guest".to_owned());
    let port = env::args().nth(2).unwrap_or("7007".to_owned());
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}"))?;
    stream.write_all(format!("{name}\n").as_bytes())?;
    prompt(&name)?;
    let receiving = stream.try_clone()?;
    thread::spawn(move || receive_loop(receiving));
    for line in io::stdin().lines() {
        let line = line?;
        if line == "quit" || line == "exit" {
            println!("Goodbye!");
            break;
        }
        stream.write_all(format!("{line}\n").as_bytes())?;
        prompt(&name)?;
    }
    Ok(())
}

/// Shows what comes until the server is gone, and then ends the program.
fn receive_loop(mut stream: TcpStream) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        print!("{}", String::from_utf8_lossy(&buffer[..count]));
        // Otherwise it would be shown only after the next line end.
        let _ = io::stdout().flush();
    }
    println!("The server is gone.");
    // The main thread blocks in reading the keyboard, and nothing else can wake it.
    process::exit(1);
}

fn prompt(name: &str) -> io::Result<()> {
    print!("{name}> ");
    io::stdout().flush()
}
