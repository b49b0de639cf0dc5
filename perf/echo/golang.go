// SPDX-License-Identifier: MIT

// An echo server in Go: a goroutine and a buffer for each connection. It has one P, unless GOMAXPROCS
// asks for more (perf/scale). The net package sets TCP_NODELAY, the full backlog and the limit of
// descriptors itself, and its Write() returns only when all has gone out: a slow reader makes its own
// goroutine wait.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

const bufferBytes = 256 * 1024

func echo(connection net.Conn) {
	defer connection.Close()
	bytes := make([]byte, bufferBytes)
	for {
		got, err := connection.Read(bytes)
		if err != nil {
			return
		}
		if _, err = connection.Write(bytes[:got]); err != nil {
			return
		}
	}
}

func main() {
	port := flag.Int("port", 0, "listens on 127.0.0.1:`N`")
	flag.Parse()
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0)
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		go echo(connection)
	}
}
