// Package feed hands over units that go on coming: files that appear in a directory, lines of a pipe, messages of a
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
	quiet    = time.Second     // a file that has not changed for so long is whole; lines wait so long for others
	maxBytes = 4 << 20         // of lines that are handed over together
	maxLine  = 16 << 20        // bytes of one line
	again    = 5 * time.Second // until the broker delivers a message again that the server has no room for
)

// Give takes the units of one file, some lines or one message. It returns how many of them the server has accepted; an
// error ends a feed, except that of a queue.
type Give func(ctx context.Context, in io.Reader) (accepted int, err error)

// Directory gives each file of a directory once, in the order of their names, those that are there and those that come.
// A file that is still being written waits until it has not changed for a second. Names that begin with "." are
// ignored. It ends with ctx.
func Directory(ctx context.Context, dir string, give Give) error {
	seen := map[string]os.FileInfo{} // what each file was at the last look; nil = it was given
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

// whole reports whether a file has not changed since the last look, and notes what it is now.
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

// Lines gives the lines of a pipe, each a unit, within a second of their arrival. It ends with the pipe, or with ctx;
// then a goroutine is left that waits for the next line.
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

// readLines reads lines in a goroutine of its own. lines is closed at the end, after its error was sent.
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

// Queue gives the messages of a queue of RabbitMQ, one at a time: amqp[s]://user:password@host/vhost?queue=NAME. A
// message is acknowledged once its units are accepted. If none of them can be, it is moved to the queue NAME.dead; if
// the server has no room, it comes again. It ends with ctx; a broker that is down is tried again.
func Queue(ctx context.Context, address string, give Give, failed func(error)) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "amqp" && u.Scheme != "amqps" || u.Query().Get("queue") == "" {
		return errors.New(`-from takes amqp://user:password@host/vhost?queue=NAME`) // The text may hold a password.
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

// outcome says what becomes of a message.
func outcome(accepted int, err error) intake.Outcome {
	var refused *client.Error
	switch {
	case err == nil && accepted > 0:
		return intake.Outcome{}
	case err == nil:
		return intake.Outcome{Reason: fault.BadUnit, Detail: "it holds no unit that can be read"}
	case errors.As(err, &refused) && !refused.Retryable:
		return intake.Outcome{Reason: fault.Kind(refused.Code), Detail: refused.Detail}
	}
	return intake.Outcome{Again: again}
}
