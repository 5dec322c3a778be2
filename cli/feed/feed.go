// Package feed reads units that arrive continuously: files that appear in a directory, lines of a pipe, messages of a
// queue.
package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/client"
	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/rabbitmq"
	"github.com/goldcrest/goldcrest/pause"
)

const (
	quiet    = time.Second     // a file unchanged for this long is complete; lines are collected for this long
	maxBytes = 4 << 20         // of lines in one call of Give
	maxLine  = 16 << 20        // bytes of one line
	again    = 5 * time.Second // until the broker redelivers a message for which the server had no room
)

// Give posts the units of one file, of some lines or of one message. It returns how many units the server has accepted.
// An error ends a feed, except that of a queue.
type Give func(ctx context.Context, in io.Reader) (accepted int, err error)

// Directory passes each file of a directory to give once, in the order of their names: existing files and new ones. A
// file that is still being written waits until it has not changed for a second. Names that begin with "." are ignored.
// Directory returns when ctx ends.
func Directory(ctx context.Context, dir string, give Give) error {
	seen := map[string]os.FileInfo{} // state of each file at the last look; nil = it was passed on
	for {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !whole(entry, seen) {
				continue
			}
			if err := giveFile(ctx, filepath.Join(dir, entry.Name()), give); err != nil {
				return err
			}
			seen[entry.Name()] = nil
		}
		if err := pause.For(ctx, quiet); err != nil {
			return err
		}
	}
}

// whole reports whether a file is unchanged since the last look, and records its current state.
func whole(entry os.DirEntry, seen map[string]os.FileInfo) bool {
	name := entry.Name()
	before, known := seen[name]
	info, err := entry.Info()
	if known && before == nil || err != nil || !info.Mode().IsRegular() || strings.HasPrefix(name, ".") {
		return false
	}
	seen[name] = info
	return known && before.Size() == info.Size() && before.ModTime().Equal(info.ModTime())
}

func giveFile(ctx context.Context, name string, give Give) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := give(ctx, f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Lines passes the lines of a pipe to give, each a unit, within a second of their arrival. It returns when the pipe or
// ctx ends. In the latter case a goroutine remains that waits for the next line.
func Lines(ctx context.Context, in io.Reader, give Give) error {
	lines, failed := readLines(ctx, in)
	var group bytes.Buffer
	flush := func() error {
		if group.Len() == 0 {
			return nil
		}
		defer group.Reset()
		_, err := give(ctx, &group)
		return err
	}
	var due <-chan time.Time // nil = no line waits
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return errors.Join(flush(), <-failed)
			}
			if due == nil {
				due = time.After(quiet)
			}
			group.Write(line)
			group.WriteByte('\n')
			if group.Len() < maxBytes {
				continue
			}
		case <-due:
		case <-ctx.Done():
			return ctx.Err()
		}
		due = nil
		if err := flush(); err != nil {
			return err
		}
	}
}

// readLines reads lines in a new goroutine. It closes lines at the end, after it has sent its error.
func readLines(ctx context.Context, in io.Reader) (lines <-chan []byte, failed <-chan error) {
	out, end := make(chan []byte), make(chan error, 1)
	go func() {
		defer close(out)
		s := bufio.NewScanner(in)
		s.Buffer(make([]byte, 64<<10), maxLine)
		for s.Scan() {
			select {
			case out <- bytes.Clone(s.Bytes()):
			case <-ctx.Done():
				end <- ctx.Err()
				return
			}
		}
		end <- s.Err()
	}()
	return out, end
}

// Queue passes the messages of a RabbitMQ queue to give, one at a time: amqp[s]://user:password@host/vhost?queue=NAME.
// A message is acknowledged after its units were accepted. If none of them can be, it is moved to the queue NAME.dead.
// If the server has no room, the message is delivered again later. Queue returns when ctx ends; it reconnects to a
// broker that is down.
func Queue(ctx context.Context, address string, give Give, failed func(error)) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Query().Get("queue") == "" {
		return errors.New(`-from takes amqp://user:password@host/vhost?queue=NAME`) // The text may contain a password.
	}
	from := u.Query().Get("queue")
	u.RawQuery = ""
	broker := intake.Broker{Kind: intake.RabbitMQ, URL: u.String(), From: from}
	q, err := rabbitmq.Open(intake.Config{Name: "cli", Broker: broker})
	if err != nil {
		return err
	}
	defer q.Close()
	for {
		err := q.Receive(ctx, 1, func(ctx context.Context, m intake.Message) intake.Outcome {
			if m.Unreadable != "" {
				return intake.Outcome{Reason: fault.BadUnit, Detail: m.Unreadable}
			}
			accepted, err := give(ctx, bytes.NewReader(m.Body))
			if err != nil {
				failed(err)
			}
			return outcome(accepted, err)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed(err)
		if err := pause.For(ctx, quiet); err != nil {
			return err
		}
	}
}

// outcome returns how to finish a message.
func outcome(accepted int, err error) intake.Outcome {
	var refused *client.Error
	switch {
	case err == nil && accepted > 0:
		return intake.Outcome{}
	case err == nil:
		return intake.Outcome{Reason: fault.BadUnit, Detail: "it contains no readable unit"}
	case errors.As(err, &refused) && !refused.Retryable:
		return intake.Outcome{Reason: fault.Kind(refused.Code), Detail: refused.Detail}
	}
	return intake.Outcome{Again: again}
}
