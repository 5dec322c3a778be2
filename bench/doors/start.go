package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/sivchari/kumo"

	"github.com/goldcrest/goldcrest/intake"
	"github.com/goldcrest/goldcrest/intake/nats"
	"github.com/goldcrest/goldcrest/intake/rabbitmq"
	"github.com/goldcrest/goldcrest/intake/sqs"
)

// server is the program under test.
type server struct {
	admin  string
	client *http.Client
	stop   func()
}

func freeAddr() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return ""
	}
	defer l.Close()
	return l.Addr().String()
}

// awaitConnection waits until an address accepts connections.
func awaitConnection(addr string) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(end) {
			return err
		}
	}
}

// startServer starts the program with an intake for each broker.
func startServer(binary, dir string, doors []door) (*server, error) {
	s := &server{admin: freeAddr(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: slots}}}
	var text strings.Builder
	fmt.Fprintf(&text, `server: {listen: %q, admin: %q, drain: 1s}
api: {tokens: [{name: bench, token: %s, scopes: [prewarm, admin]}]}
signing: {keys: [{key: %s, salt: %[4]s}]}
origin: {allow_private: ["127.0.0.0/8"]}
cache: {store: {dir: %[5]s/store, min_free: 1MiB}}
prewarm: {queue: {dir: %[5]s/queue}}
presets: {lite: "rs:fit:480:0/f:jpg"}
intakes:
`, freeAddr(), s.admin, token, strings.Repeat("0123456789abcdef", 4), dir)
	for _, d := range doors {
		b := d.broker("units")
		fmt.Fprintf(&text, "  - {name: %s, kind: %s, url: %q, token: bench, from: %q, dead: %q, body: unit, slots: %d, presets: [lite]}\n",
			d.name, b.Kind, b.URL, b.From, b.Dead, slots)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "serve", "-config", file)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "GOLDCREST_LOG_LEVEL=error", "GOLDCREST_PREWARM_PRESETS=[lite]")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // It may have ended already.
		_ = cmd.Wait()
	}
	return s, awaitConnection(s.admin)
}

// startBrokers starts a broker of each kind. stop must be called in any case.
func startBrokers(ctx context.Context, dir string) (doors []door, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, end := range stops {
			end()
		}
	}
	for _, begin := range []func(context.Context, string) (door, func(), error){startRabbitMQ, startNATS, startSQS} {
		d, end, err := begin(ctx, dir)
		if err != nil {
			return nil, stop, err
		}
		doors, stops = append(doors, d), append(stops, end)
	}
	return doors, stop, nil
}

func startRabbitMQ(_ context.Context, dir string) (door, func(), error) {
	addr, names := freeAddr(), freeAddr()
	host, port, _ := net.SplitHostPort(addr)
	_, namesPort, _ := net.SplitHostPort(names)
	_, dist, _ := net.SplitHostPort(freeAddr())
	plugins := filepath.Join(dir, "plugins")
	if err := os.WriteFile(plugins, []byte("[]."), 0o600); err != nil {
		return door{}, nil, err
	}
	epmd := exec.Command("epmd", "-port", namesPort, "-address", host)
	if err := epmd.Start(); err != nil {
		return door{}, nil, err
	}
	node := exec.Command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	node.Env = append(os.Environ(), "HOME="+dir, "RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_NODE_IP_ADDRESS="+host,
		"RABBITMQ_NODE_PORT="+port, "RABBITMQ_DIST_PORT="+dist, "ERL_EPMD_PORT="+namesPort, "RABBITMQ_MNESIA_BASE="+dir,
		"RABBITMQ_LOG_BASE="+dir, "RABBITMQ_CONF_ENV_FILE="+os.DevNull, "RABBITMQ_ENABLED_PLUGINS_FILE="+plugins)
	node.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := node.Start(); err != nil {
		return door{}, nil, err
	}
	end := func() {
		_ = syscall.Kill(-node.Process.Pid, syscall.SIGKILL)
		_ = node.Wait()
		_ = epmd.Process.Kill()
		_ = epmd.Wait()
	}
	if err := awaitConnection(addr); err != nil {
		end()
		return door{}, nil, err
	}
	return door{
		name: "rabbitmq",
		broker: func(from string) intake.Broker {
			return intake.Broker{Kind: intake.RabbitMQ, URL: "amqp://guest:guest@" + addr + "/", From: from, Dead: from + ".dead"}
		},
		open: func(c intake.Config) (intake.Intake, intake.Outlet, func(), error) {
			q, err := rabbitmq.Open(c)
			if err != nil {
				return nil, nil, nil, err
			}
			return q, q, q.Close, nil
		},
	}, end, nil
}

func startNATS(_ context.Context, dir string) (door, func(), error) {
	s, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: filepath.Join(dir, "nats"), NoSigs: true, NoLog: true,
		SyncAlways: true,
	})
	if err != nil {
		return door{}, nil, err
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		return door{}, nil, fmt.Errorf("NATS does not start")
	}
	return door{
			name: "nats",
			broker: func(from string) intake.Broker {
				return intake.Broker{Kind: intake.NATS, URL: s.ClientURL(), From: from, Dead: from + ".dead"}
			},
			open: func(c intake.Config) (intake.Intake, intake.Outlet, func(), error) {
				q := nats.Open(c)
				return q, q, q.Close, nil
			},
		}, func() {
			s.Shutdown()
			s.WaitForShutdown()
		}, nil
}

func startSQS(ctx context.Context, _ string) (door, func(), error) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "eu-central-1",
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		if err := os.Setenv(name, value); err != nil {
			return door{}, nil, err
		}
	}
	s := kumo.NewServer()
	loaded, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return door{}, s.Close, err
	}
	client := awssqs.NewFromConfig(loaded, func(o *awssqs.Options) { o.BaseEndpoint = aws.String(s.URL) })
	urls := map[string]string{}
	for _, name := range []string{"units", "alone", "filler", "dead"} {
		out, err := client.CreateQueue(ctx, &awssqs.CreateQueueInput{QueueName: &name})
		if err != nil {
			return door{}, s.Close, err
		}
		urls[name] = aws.ToString(out.QueueUrl)
	}
	return door{
		name: "sqs",
		broker: func(from string) intake.Broker {
			return intake.Broker{Kind: intake.SQS, URL: s.URL, From: urls[from], Dead: urls["dead"]}
		},
		open: func(c intake.Config) (intake.Intake, intake.Outlet, func(), error) {
			b := c.Broker
			d, err := sqs.Open(ctx, sqs.Config{Queue: b.From, Dead: b.Dead, Endpoint: b.URL})
			if err != nil {
				return nil, nil, nil, err
			}
			return d, d.Outlet(c.Verdicts.To), func() {}, nil
		},
	}, s.Close, nil
}
