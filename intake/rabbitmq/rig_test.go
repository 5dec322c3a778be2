package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/intaketest"
)

// program is Debian's, without the wrapper that changes the user.
const program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// broker is a RabbitMQ of the test's own.
type broker struct {
	dir, addr string
	epmd      string // its port
	node      *exec.Cmd
}

// startBroker starts a broker with a directory and ports of its own, and with further lines of its configuration.
func startBroker(t *testing.T, conf ...string) *broker {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts RabbitMQ")
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("RabbitMQ is not installed: .ci/setup test installs it")
	}
	b := &broker{dir: t.TempDir(), addr: freeAddr(t)}
	_, b.epmd, _ = net.SplitHostPort(freeAddr(t))
	names := exec.Command("epmd", "-port", b.epmd, "-address",
		"127.0.0.1") // In the foreground, so that none stays behind.
	if err := names.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = names.Process.Kill()
		_ = names.Wait()
	})
	lines := strings.Join(append([]string{"loopback_users = none"}, conf...), "\n") + "\n"
	for _, f := range []struct{ name, text string }{{"enabled", "[]."}, {"conf", lines}} {
		if err := os.WriteFile(filepath.Join(b.dir, f.name), []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.start(t)
	t.Cleanup(b.kill)
	return b
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts the node and waits until it takes connections.
func (b *broker) start(t *testing.T) {
	t.Helper()
	host, port, _ := net.SplitHostPort(b.addr)
	_, dist, _ := net.SplitHostPort(freeAddr(t))
	b.node = exec.Command(program)
	b.node.Env = append(os.Environ(), "HOME="+b.dir, "RABBITMQ_NODENAME=test@localhost",
		"RABBITMQ_NODE_IP_ADDRESS="+host,
		"RABBITMQ_NODE_PORT="+port, "RABBITMQ_DIST_PORT="+dist, "ERL_EPMD_PORT="+b.epmd, "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE="+b.dir, "RABBITMQ_LOG_BASE="+b.dir, "RABBITMQ_CONF_ENV_FILE="+os.DevNull,
		"RABBITMQ_ENABLED_PLUGINS_FILE="+b.dir+"/enabled", "RABBITMQ_CONFIG_FILE="+b.dir+"/conf",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
	b.node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	b.node.Stdout, b.node.Stderr = &said, &said
	if err := b.node.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(90 * time.Second); ; {
		conn, err := amqp.Dial(b.url(b.addr))
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			b.kill()
			t.Fatalf("RabbitMQ did not start: %v\n%s", err, said.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// kill ends the node as kill -9 does, and all that it started.
func (b *broker) kill() {
	_ = syscall.Kill(-b.node.Process.Pid, syscall.SIGKILL)
	_ = b.node.Wait()
}

func (b *broker) url(addr string) string { return "amqp://guest:guest@" + addr + "/" }

// onBroker does something on a channel to the broker, as a sender or a receiver does.
func onBroker[T any](t *testing.T, b *broker, do func(*amqp.Channel) (T, error)) T {
	t.Helper()
	conn, err := amqp.Dial(b.url(b.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	out, err := do(ch)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// get takes all messages out of a queue.
func get(t *testing.T, b *broker, queue string) []amqp.Delivery {
	t.Helper()
	return onBroker(t, b, func(ch *amqp.Channel) (all []amqp.Delivery, err error) {
		for {
			d, ok, err := ch.Get(queue, false)
			if err != nil || !ok {
				return all, err
			}
			if err := d.Ack(false); err != nil {
				return all, err
			}
			all = append(all, d)
		}
	})
}

// send puts a message into a queue, confirmed.
func send(t *testing.T, b *broker, queue string, m amqp.Publishing) {
	t.Helper()
	m.DeliveryMode = amqp.Persistent
	onBroker(t, b, func(ch *amqp.Channel) (struct{}, error) {
		if err := ch.Confirm(false); err != nil {
			return struct{}{}, err
		}
		returned := ch.NotifyReturn(make(chan amqp.Return, 1))
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		sent, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, m)
		if err == nil {
			_, err = sent.WaitContext(ctx)
		}
		if len(returned) > 0 {
			err = errors.New("the queue does not exist")
		}
		return struct{}{}, err
	})
}

// config is an intake's configuration with queues of its own.
func config(url, name string) intake.Config {
	return intake.Config{Name: name, Token: "shop",
		Broker:   intake.Broker{Kind: intake.RabbitMQ, URL: url, From: name},
		Verdicts: intake.Verdicts{To: name + ".verdicts"}}
}

// declare makes the queues of an intake, so that they exist before the first message.
func declare(t *testing.T, b *broker, name string) {
	t.Helper()
	q, err := Open(config(b.url(b.addr), name))
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	if _, err := q.Waiting(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// bench is what the conformance suite needs of a broker.
func bench(t *testing.T, b *broker, name string) intaketest.Broker {
	t.Helper()
	declare(t, b, name)
	open := func(t *testing.T) intaketest.Door {
		t.Helper()
		w := intaketest.NewWire(t, b.addr)
		q, err := Open(config(b.url(w.Addr()), name))
		if err != nil {
			t.Fatal(err)
		}
		return intaketest.Door{Intake: q, Outlet: q, Kill: w.Cut, Close: q.Close}
	}
	var seen []intake.Notice
	return intaketest.Broker{
		Open: open,
		Send: func(t *testing.T, m intake.Message) {
			t.Helper()
			send(t, b, name, amqp.Publishing{MessageId: m.ID, ContentType: m.Type,
				ContentEncoding: m.Encoding, Body: m.Body})
		},
		Dead: func(t *testing.T) (all []intaketest.Dead) {
			t.Helper()
			for _, d := range get(t, b, name+".dead") {
				reason, _ := d.Headers["x-goldcrest-reason"].(string)
				all = append(all, intaketest.Dead{ID: d.MessageId, Body: d.Body, Reason: reason})
			}
			return all
		},
		Notices: func(t *testing.T) []intake.Notice {
			t.Helper()
			for _, d := range get(t, b, name+".verdicts") {
				seen = append(seen, intake.Notice{ID: d.MessageId, Type: d.Type, Message: d.CorrelationId,
					Body: d.Body})
			}
			return seen
		},
		Restart: func(t *testing.T) {
			t.Helper()
			b.kill()
			b.start(t)
		},
	}
}

func TestConformance(t *testing.T) {
	b := startBroker(t)
	// RabbitMQ 3.10 forgets the term of a quorum queue that is killed in its first seconds, and then never elects its
	// leader again: the queues of the tests that kill the broker are there from the start.
	declare(t, b, "restart-1")
	declare(t, b, "restart-2")
	n, killed := 0, 0
	intaketest.Run(t, func(t *testing.T) intaketest.Broker {
		if strings.Contains(t.Name(), "restart") {
			killed++
			return bench(t, b, fmt.Sprint("restart-", killed))
		}
		n++
		return bench(t, b, fmt.Sprint("units-", n))
	})
}
