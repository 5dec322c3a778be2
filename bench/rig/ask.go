package rig

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

// Ask is get with the response's Cache-Status.
func (r *Server) Ask(ctx context.Context, path string) (body []byte, status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+path, nil)
	if err != nil {
		return nil, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, "", err
	}
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	return b.Bytes(), res.Header.Get("Cache-Status"), errors.Join(err, res.Body.Close())
}

// Counter reads one sample of the metrics; 0 if there is none.
func (r *Server) Counter(ctx context.Context, name string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(value) // Missing while it is 0.
	return n, nil
}

// Api returns a client for the rig's private listener.
func (r *Server) Api() (*client.API, error) {
	return client.NewAPI(client.APIConfig{URL: "http://" + r.Admin, Token: Token, Attempts: 1000, MaxPause: 100 * time.Millisecond})
}

// UnitOf is a Data Unit with one picture, as a backend sends it.
func UnitOf(n int, source string) client.Unit {
	text, _ := json.Marshal(map[string]any{ // Strings and numbers can be marshalled.
		"id": fmt.Sprint("du-", n), "title": "Red shoe, hardly worn", "price": 25, "seller": map[string]any{"name": "A. Seller", "since": 2019},
		"images": []any{map[string]any{"url": source, "caption": "from the left"}},
	})
	return client.Unit{Data: text}
}

// Metric reads a sample without labels from the private listener.
func (r *Server) Metric(ctx context.Context, name string) (float64, error) {
	found := false
	value, err := r.Metrics(ctx, func(sample string) bool {
		found = found || sample == name
		return sample == name
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no metric %s", name)
	}
	return value, err
}

// Metrics sums the samples of the private listener for which wanted is true; it gets the name with its labels.
func (r *Server) Metrics(ctx context.Context, wanted func(name string) bool) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	sc := bufio.NewScanner(res.Body)
	for sc.Scan() {
		at := strings.LastIndexByte(sc.Text(), ' ')
		if at < 0 || !wanted(sc.Text()[:at]) {
			continue
		}
		value, err := strconv.ParseFloat(sc.Text()[at+1:], 64)
		if err != nil {
			return 0, err
		}
		sum += value
	}
	return sum, sc.Err()
}
