// SPDX-License-Identifier: MIT

// Go's echo server on several processors: one listener, a goroutine for each connection, and the
// scheduler of Go. GOMAXPROCS says how many.
//
//	go_everywhere --port N
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func echo(peer net.Conn) {
	defer peer.Close()
	buffer := make([]byte, 4096)
	for {
		count, err := peer.Read(buffer)
		if err != nil {
			return
		}
		if _, err = peer.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func main() {
	port := flag.Int("port", 0, "listens on 127.0.0.1:`N`")
	flag.Parse()
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, "go_everywhere:", err)
		os.Exit(1)
	}
	go func() {
		for {
			peer, err := listener.Accept()
			if err != nil {
				continue
			}
			go echo(peer)
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
}
