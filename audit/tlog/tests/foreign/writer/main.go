// Command writer measures Tessera's POSIX driver: how many entries a second are durable and integrated, and how long each waits for that.
//
//	writer -dir DIR [-writers 256] [-lasts 10s] [-bytes 600] [-batch 256] [-age 250ms]
//
// DIR must be empty, and says which disk is measured. Each writer adds an entry, waits until the driver says its index, and adds the next:
// the entry is on the disk then and in the tree, and no network and no TLS lies between. -batch and -age are the driver's own options; these
// are its defaults. One line goes to standard output: entries a second, and what a half and what 99 of 100 take at the most, in milliseconds.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

var (
	dir     = flag.String("dir", "", "folder of the log")
	writers = flag.Int("writers", 256, "how many add entries at once")
	lasts   = flag.Duration("lasts", 10*time.Second, "how long")
	bytes   = flag.Int("bytes", 600, "bytes of an entry")
	batch   = flag.Uint("batch", tessera.DefaultBatchMaxSize, "entries of a batch, at the most")
	age     = flag.Duration("age", tessera.DefaultBatchMaxAge, "how long a batch waits for more, at the most")
)

func main() {
	flag.Parse()
	if *dir == "" {
		log.Fatal("-dir is missing")
	}
	took, lasted, err := measure(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	slices.Sort(took)
	ms := func(part float64) float64 { return took[int(float64(len(took)-1)*part)].Seconds() * 1000 }
	fmt.Printf("%.0f %.3f %.3f\n", float64(len(took))/lasted.Seconds(), ms(0.50), ms(0.99))
}

func measure(ctx context.Context) ([]time.Duration, time.Duration, error) {
	secret, _, err := note.GenerateKey(nil, "measured.example")
	if err != nil {
		return nil, 0, fmt.Errorf("make a key: %w", err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, 0, fmt.Errorf("read the key: %w", err)
	}
	driver, err := posix.New(ctx, posix.Config{Path: *dir})
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", *dir, err)
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithCheckpointInterval(time.Second).WithBatching(*batch, *age)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		return nil, 0, fmt.Errorf("begin a log: %w", err)
	}
	began := time.Now()
	took, err := write(ctx, appender, began.Add(*lasts))
	lasted := time.Since(began)
	if err != nil {
		return nil, 0, err
	}
	return took, lasted, shutdown(ctx)
}

// write lets all writers add entries until then: how long each entry took.
func write(ctx context.Context, appender *tessera.Appender, until time.Time) ([]time.Duration, error) {
	var all []time.Duration
	var failed error
	var lock sync.Mutex
	var running sync.WaitGroup
	for range *writers {
		running.Go(func() {
			took, err := one(ctx, appender, until)
			lock.Lock()
			defer lock.Unlock()
			all = append(all, took...)
			if err != nil {
				failed = err
			}
		})
	}
	running.Wait()
	if failed == nil && len(all) == 0 {
		failed = fmt.Errorf("no entry was added")
	}
	return all, failed
}

func one(ctx context.Context, appender *tessera.Appender, until time.Time) ([]time.Duration, error) {
	var took []time.Duration
	for {
		entry := make([]byte, *bytes)
		if _, err := rand.Read(entry); err != nil {
			return nil, fmt.Errorf("make an entry: %w", err)
		}
		began := time.Now()
		if began.After(until) {
			return took, nil
		}
		if _, err := appender.Add(ctx, tessera.NewEntry(entry))(); err != nil {
			return nil, fmt.Errorf("add an entry: %w", err)
		}
		took = append(took, time.Since(began))
	}
}
