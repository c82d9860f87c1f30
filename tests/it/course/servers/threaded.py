# A chat server of a dozen lines, such as a beginner writes, with one thread per client. `check` tests this server.
import socket, sys, threading

clients = {}

def tell(text, but=None):
    for stream in [stream for name, stream in clients.items() if name != but]:
        stream.sendall(text.encode())

def serve(stream, address):
    lines = stream.makefile()
    stream.sendall(b"[SERVER] Enter your nickname:\n")
    clients[name := lines.readline().strip()] = stream
    tell(f"[SERVER] {name} joined the chat! {len(clients)} online: {name}\n")
    for line in lines: tell(f"{name}: {line}", name)
    del clients[name]
    tell(f"[SERVER] {name} left the chat!\n")

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128)
while True: threading.Thread(target=serve, args=listener.accept()).start()
