// ktool is what test pods are made of: one static binary that listens, dials and looks names up, and says plainly what happened.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `ktool serve ADDRESS...         listen on TCP addresses and answer each line with "pong PEER"; ends on SIGTERM
ktool dial ADDRESS [TIMEOUT]   connect once (2s): prints "connected ..." and exits 0, or "not connected ..." and exits 1
ktool lookup NAME...           look names up: exits 1 when one is unknown
ktool cat FILE...              print files`

func main() {
	if len(os.Args) < 3 {
		fail(2, usage)
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "serve":
		serve(args)
	case "dial":
		dial(args)
	case "lookup":
		lookup(args)
	case "cat":
		cat(args)
	default:
		fail(2, usage)
	}
}

func fail(code int, format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(code)
}

func serve(addresses []string) {
	for _, address := range addresses {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			fail(1, "cannot listen: %v", err)
		}
		go accept(listener)
	}
	fmt.Println("listening on", addresses)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
}

func accept(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			fail(1, "cannot accept: %v", err)
		}
		go answer(connection)
	}
}

func answer(connection net.Conn) {
	defer connection.Close()
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		if _, err := fmt.Fprintln(connection, "pong", connection.RemoteAddr()); err != nil {
			return
		}
	}
}

func dial(args []string) {
	timeout := 2 * time.Second
	if len(args) > 1 {
		var err error
		if timeout, err = time.ParseDuration(args[1]); err != nil {
			fail(2, "bad timeout: %v", err)
		}
	}
	start := time.Now()
	connection, err := net.DialTimeout("tcp", args[0], timeout)
	took := time.Since(start).Round(time.Millisecond)
	if err != nil {
		fmt.Printf("not connected to %s after %v: %v\n", args[0], took, err)
		os.Exit(1)
	}
	defer connection.Close()
	fmt.Printf("connected to %s in %v\n", args[0], took)
}

func lookup(names []string) {
	for _, name := range names {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		addresses, err := net.DefaultResolver.LookupHost(ctx, name)
		cancel()
		if err != nil {
			fail(1, "cannot look up %s: %v", name, err)
		}
		fmt.Println(name, addresses)
	}
}

func cat(files []string) {
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			fail(1, "%v", err)
		}
		os.Stdout.Write(content)
	}
}
