# A chat server of a dozen lines, as one writes it first: one thread per client. `check` examines it.
import socketserver, sys

clients = {}

def tell(line, but=None):
    for name, out in list(clients.items()):
        if name != but:
            out.write(line.encode()); out.flush()

class Client(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"[SERVER] Enter your nickname:\n")
        name = self.rfile.readline().decode().strip()
        self.wfile.write(f"[SERVER] Connected to the server!\n[SERVER] {len(clients) + 1} online: {name}\n".encode())
        clients[name] = self.wfile
        tell(f"[SERVER] {name} joined the chat!\n", name)
        for line in self.rfile:
            tell(f"{name}: {line.decode()}", name)
        del clients[name]
        tell(f"[SERVER] {name} left the chat!\n")

class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

Server(("127.0.0.1", int(sys.argv[1])), Client).serve_forever()
