package trust

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/goldcrest/goldcrest/bench/rig"
)

const sigCont = syscall.SIGCONT

func cores() int { return runtime.NumCPU() }

// The faults of a shaky server.
const (
	healthy = iota
	errored // a third of the requests get 500
	away    // all requests get 503
	cut     // a third of the connections break, half of these after the request took effect
	slowed  // all requests take up to 400 ms longer
	shakes
)

// shaky is a server with a selectable fault.
type shaky struct {
	url   string
	stop  func()
	how   atomic.Int64
	calls atomic.Int64

	mu     sync.Mutex
	random *rand.Rand
}

func startShaky(random *rand.Rand, h http.Handler) (*shaky, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &shaky{url: "http://" + l.Addr().String(), random: random}
	srv := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		s.answer(w, r, h)
	})}
	go srv.Serve(l) //nolint:errcheck // ends with Close
	s.stop = func() { _ = srv.Close() }
	return s, nil
}

func (s *shaky) n(most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.IntN(most)
}

func (s *shaky) answer(w http.ResponseWriter, r *http.Request, h http.Handler) {
	dice := s.n(6)
	switch how := s.how.Load(); {
	case how == errored && dice < 2:
		w.WriteHeader(http.StatusInternalServerError)
	case how == away:
		w.WriteHeader(http.StatusServiceUnavailable)
	case how == cut && dice < 2:
		if dice == 0 {
			h.ServeHTTP(noAnswer{}, r.WithContext(context.WithoutCancel(r.Context())))
		}
		panic(http.ErrAbortHandler)
	case how == slowed:
		if !rig.Rest(r.Context(), time.Duration(s.n(400))*time.Millisecond) {
			return
		}
		fallthrough
	default:
		h.ServeHTTP(w, r)
	}
}

// noAnswer discards the response of a request whose connection breaks.
type noAnswer struct{}

func (noAnswer) Header() http.Header { return http.Header{} }

func (noAnswer) WriteHeader(int) {}

func (noAnswer) Write(p []byte) (int, error) { return len(p), nil }

// forward proxies requests, with the host that their signature covers.
func forward(target string) http.Handler {
	u, err := url.Parse(target)
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			if err == nil {
				r.SetURL(u)
			}
			r.Out.Host = r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// Each version of a picture has another grey. An encode may change it by less than half a step.
const (
	greyStep   = 8
	maxVersion = 29
)

// picture serves the current version of a source.
func (c *chaos) picture(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/"), ".jpg"))
	if err != nil || n >= len(c.sources) {
		http.NotFound(w, r)
		return
	}
	img := image.NewGray(image.Rect(0, 0, 128, 96))
	draw.Draw(img, img.Bounds(), image.NewUniform(color.Gray{Y: uint8(greyStep + greyStep*c.sources[n].version.Load())}), image.Point{}, draw.Src)
	var body bytes.Buffer
	if err := jpeg.Encode(&body, img, &jpeg.Options{Quality: 95}); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/jpeg")
	_, _ = w.Write(body.Bytes()) // The client may have been killed.
}

func versionOf(img image.Image) int64 {
	b := img.Bounds()
	y := color.GrayModel.Convert(img.At(b.Dx()/2, b.Dy()/2)).(color.Gray).Y
	return (int64(y)+greyStep/2)/greyStep - 1
}

// troublePeers kills and restarts a NATS server, or stops it for a while. The others are not touched, so that two of
// three work.
func (c *chaos) troublePeers(ctx context.Context, r *rand.Rand) {
	c.trouble(ctx, r, &c.Nats[r.IntN(len(c.Nats))])
}

// troubleInstances does the same to an instance.
func (c *chaos) troubleInstances(ctx context.Context, r *rand.Rand) {
	c.trouble(ctx, r, &c.instances[r.IntN(len(c.instances))].Proc)
}

func (c *chaos) trouble(ctx context.Context, r *rand.Rand, p **rig.Proc) {
	c.count.faults.Add(1)
	pause := 500*time.Millisecond + time.Duration(r.Int64N(int64(3*time.Second)))
	if r.IntN(3) > 0 {
		_ = (*p).Process.Signal(syscall.SIGSTOP)
		rig.Rest(ctx, pause)
		_ = (*p).Process.Signal(sigCont)
		return
	}
	_ = (*p).Process.Kill()
	<-(*p).Done
	rig.Rest(ctx, pause/4)
	if q, err := again(*p); err == nil {
		*p = q
	}
	rig.Rest(ctx, 3*time.Second) // Until it has started.
}

// again restarts a program that has ended.
func again(p *rig.Proc) (*rig.Proc, error) { return rig.StartWith(p.Env, p.Path, p.Args[1:]...) }

// troubleOthers makes the bucket or the origin fail.
func (c *chaos) troubleOthers(ctx context.Context, r *rand.Rand) {
	s := []*shaky{c.bucket, c.origin}[r.IntN(2)]
	c.count.faults.Add(1)
	s.how.Store(1 + r.Int64N(shakes-1))
	rig.Rest(ctx, 500*time.Millisecond+time.Duration(r.Int64N(int64(3*time.Second))))
	s.how.Store(healthy)
}

// heal ends all faults and waits until everything responds.
func (c *chaos) heal(ctx context.Context) error {
	c.bucket.how.Store(healthy)
	c.origin.how.Store(healthy)
	for i := range c.Nats {
		if err := revive(ctx, &c.Nats[i], c.Monitors[i]); err != nil {
			return err
		}
	}
	for _, r := range c.instances {
		if err := revive(ctx, &r.Proc, r.Admin); err != nil {
			return err
		}
	}
	return nil
}

// revive restarts a program until it is ready: another program may have taken its port for a moment.
func revive(ctx context.Context, p **rig.Proc, addr string) (err error) {
	for range 3 {
		select {
		case <-(*p).Done:
			if *p, err = again(*p); err != nil {
				return err
			}
		default:
		}
		if err = rig.AwaitReady(ctx, *p, "http://"+addr+"/healthz"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", addr, err)
}
