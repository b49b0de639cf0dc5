// SPDX-License-Identifier: MIT

// An echo server on Node's net: write() sends at once what the socket takes and keeps the rest;
// reading stops until that has gone out. Node raises the limit of descriptors itself.
'use strict';

const net = require('net');

function port() {
    const [name, value] = process.argv.slice(2);
    if (name !== '--port' || !(Number(value) > 0)) {
        console.error('usage: echo_node --port N');
        process.exit(2);
    }
    return Number(value);
}

function echo(socket) {
    socket.on('data', (bytes) => {
        if (!socket.write(bytes))
            socket.pause();
    });
    socket.on('drain', () => socket.resume());
    socket.on('error', () => socket.destroy());
}

const server = net.createServer({noDelay: true}, echo);
server.on('error', (error) => {
    console.error(error.message);
    process.exit(1);
});
server.listen({host: '127.0.0.1', port: port(), backlog: 65535});
process.on('SIGTERM', () => process.exit(0));
