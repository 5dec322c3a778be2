package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// keysElsewhere are the keys that are not set here, with the test that sets them.
var keysElsewhere = map[string]string{
	"signing.encryption_key": "TestImgproxyClients", "signing.thumbor.key": "TestThumborMount",
	"prewarm.queue.nats": "TestFault38NatsCluster", "prewarm.queue.monitor": "app TestDoctorTellsWhetherNATSSyncs",
	"prewarm.queue.user": "TestShippedContainers", "prewarm.queue.password_file": "TestShippedContainers",
	"prewarm.queue.creds_file": "natsqueue TestCredentials",
}

// everyKey has a value for every other key that is not its default. DIR is a folder with secrets, PORT the origin's
// port, and S3 the address of a store.
const everyKey = `
roles: [prewarm, proxy]
server:
  {listen: "127.0.0.1:0", admin: "localhost:0", admin_hosts: [ops.internal], base_url: "https://img.example",
   path_prefix: /img, cors: ["https://a.example"], debug_headers: true, deadline: 24s, drain: 2s, connections: 90,
   connections_per_address: 40, trusted_proxies: [10.0.0.0/8], max_url: 8KiB, pprof: true}
api: {tokens: [{name: all, token_file: DIR/token, scopes: [sign, admin, events, prewarm]}], rate: 900, burst: 50}
signing:
  {keys: [{id: a, key_file: DIR/signing, rate: 500}], signature_size: 20, allow_short_keys: true, rate: 900, burst: 90,
   encryption_key_file: DIR/aes, trusted_signatures: [a-trusted-signature], unsigned: true,
   thumbor: {key_file: DIR/thumbor, algorithm: sha256, truncate: 28, sources: [c.example]}}
origin:
  {allow: ["127.0.0.1", "*.example"], allow_private: [127.0.0.0/8], ports: [PORT, 443], timeout: 9s, max_bytes: 16MiB,
   memory: 128MiB, slots: 32, per_host: 8, redirects: 2, canonical: ["X-Amz-*"],
   hosts: [{match: ["127.0.0.1"], headers: {X-Client: a}, user_agent: b, referer: "https://r.example/"}],
   s3: [{names: [media], region: eu-central-1, path_style: true, credentials_file: DIR/s3}],
   gs: [{names: [media], credentials_file: DIR/s3}], local: [{at: /shop, dir: DIR}],
   aliases: {shop: "https://c.example/img"}, base_url: "https://c.example/",
   replace: [{from: "mys3://", to: "s3://media/"}]}
links: {keys: [{key_file: DIR/links}]}
transform:
  {engine: bimg, workers: 1, timeout: 14s, cpu: 4s, patience: 2s, max_pixels: 40MP, max_result_pixels: 9MP,
   avif_max_pixels: 1MP, max_frames: 10, animated_avif: true, image_memory: 256MiB, inputs: [jpeg, png],
   watermark: DIR/mark.png, keep_metadata: true, raw: true, recycle: 100, sandbox: "off", command: [BINARY, worker]}
quality: {high: 79, normal: 69, saver: 49, text_floor: 55, hot: "off", price_cpu_hour: 0.05, price_gb: 0.2}
negotiation: {formats: [webp, jpeg], unknown: webp, client_hints: true}
cache:
  {memory: 128MiB, ttl: 100h, revalidate: 1h, max_age: 700h, first_max_age: 4m, swr: 2h, sie: 23h, honour_origin: true,
   masters: 1600, seal_key: [{key_file: DIR/seal}],
   store: {dir: DIR/other, max_bytes: 1GiB, min_free: 1MiB, pending: 32MiB, lookup: 400ms, timeout: 3s,
     s3: {bucket: BUCKET, prefix: a, region: us-east-1, endpoint: "S3", path_style: true, checksums: when_supported}}}
memory: {limit: 2GiB}
prewarm:
  {presets: [std], formats: [webp], select: ["$.photo"], call_variants: 1000, workers: 2, retry: [4s, 20s], keep: 100h,
   queue: {dir: DIR/queue},
   callbacks: {allow: [hooks.example.com], secrets: [{id: a, secret_file: DIR/hooks}]},
   buckets: [{bucket: photos, source: "https://c.example/{key}", variants: [std]}],
   bucket_queues: [{token: all, queue: "http://127.0.0.1:1/1/photos", dead: "http://127.0.0.1:1/1/dead",
     region: us-east-1, endpoint: "http://127.0.0.1:1"}]}
intakes: [{name: shop, kind: nats, url: "nats://127.0.0.1:1", token: all, from: units, body: unit}]
compat: {buckets: [{name: pictures, prefix: small/}]}
presets: {std: "rs:fit:90:0"}
only_presets: true
log: {level: debug, format: text, otlp: "http://127.0.0.1:1"}
tracing: {otlp: "http://127.0.0.1:1", ratio: 0.5, trust: true}
metrics: {otlp: "http://127.0.0.1:1", every: 30s}
reports: {dsn_file: DIR/dsn, environment: test, sample: 0.5, per_minute: 5, dir: DIR}
`

// at is the value at a path of keys; nil if there is none.
func at(doc map[string]any, path string) any {
	first, rest, more := strings.Cut(path, ".")
	if inner, ok := doc[first].(map[string]any); ok && more {
		return at(inner, rest)
	} else if more {
		return nil
	}
	return doc[first]
}

// effective is what "goldcrest config" prints.
func effective(t *testing.T, env []string, args ...string) (doc map[string]any) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"config"}, args...)...)
	cmd.Dir, cmd.Env = t.TempDir(), append(cmd.Environ(), env...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil || yaml.Unmarshal(out, &doc) != nil {
		t.Fatalf("%v\n%s", err, complaint.String())
	}
	return doc
}

// Every key of docs/config.md has another value than its default, once in a file and once in the environment. The
// server says the same of both, and it serves.
func TestEveryKeyServes(t *testing.T) {
	corpus(t)
	o, store, dir := startOrigin(t), startS3(t), t.TempDir()
	hexes := strings.Repeat("5a", 32)
	for name, text := range map[string]string{
		"token": "a-token-of-everyone", "signing": hexes + "\n" + hexes, "aes": hexes, "thumbor": "a-key-of-thumbor",
		"s3": "an-id\na-secret", "links": hexes, "seal": hexes, "hooks": "whsec_" + hexes,
		"dsn":      "http://a@127.0.0.1:1/1",
		"mark.png": string(pngOf(t, quarters(8, 8, noise(1, 1).NRGBAAt(0, 0)))),
	} {
		write(t, filepath.Join(dir, name), text)
	}
	from, err := url.Parse(o.URL)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("DIR", dir, "PORT", from.Port(), "S3", store.proxy.url,
		"BUCKET", filepath.Base(store.dir), "BINARY", binary).Replace(everyKey)
	file := filepath.Join(dir, "config.yaml")
	write(t, file, text)
	var values map[string]any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	var variables []string
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| `(GOLDCREST_[A-Z0-9_]+)` \\|").FindAllStringSubmatch(
		readFile(t, "../docs/config.md"), -1)
	defaults, inFile := effective(t, nil), effective(t, nil, "-config", file)
	for _, row := range rows {
		key, value := row[1], at(values, row[1])
		if keysElsewhere[key] != "" {
			continue
		}
		one, err := json.Marshal(value)
		if err != nil || value == nil || reflect.DeepEqual(at(inFile, key), at(defaults, key)) {
			t.Errorf("%s is %v, and its default is %v: %v", key, at(inFile, key), at(defaults, key), err)
		}
		variables = append(variables, row[2]+"="+strings.Trim(string(one), `"`))
	}
	if len(variables) < 125 {
		t.Errorf("%d keys have a value", len(variables))
	}
	inEnv := effective(t, variables)
	for _, key := range slices.Sorted(maps.Keys(inFile)) {
		if !reflect.DeepEqual(inEnv[key], inFile[key]) {
			t.Errorf("%s is %v in the environment and %v in a file", key, inEnv[key], inFile[key])
		}
	}
	credentials := []string{"AWS_ACCESS_KEY_ID=test-access", "AWS_SECRET_ACCESS_KEY=test-secret-key"}
	s := launch(t, t.TempDir(), []string{binary, "serve", "-config", file}, credentials...)
	s.servesWithEveryKey(o.URL + "/photos/product-saw.jpg")
	s.stop() // The next one takes over its queue.
	s = launch(t, t.TempDir(), []string{binary, "serve"}, append(credentials, variables...)...)
	s.servesWithEveryKey(o.URL + "/photos/product-saw.jpg")
}

// servesWithEveryKey has a URL signed and requests it, with an address that the text of the log tells.
func (s *server) servesWithEveryKey(source string) {
	s.t.Helper()
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Log(s.log.String())
		}
	})
	serving := regexp.MustCompile(`msg=serving public=(\S+) admin=(\S+)`)
	within(s.t, 30e9, "the server serves", func() bool {
		m := serving.FindStringSubmatch(s.log.String())
		if m != nil {
			s.public, s.admin = "http://"+m[1], "http://"+m[2]
		}
		return m != nil
	})
	body := fmt.Sprintf(`{"source": %q, "options": "pr:std"}`, source)
	res, err := send("POST", s.admin+"/v1/sign", strings.NewReader(body), "Authorization", "Bearer a-token-of-everyone",
		"Content-Type", "application/json")
	var signed struct{ URLs []struct{ URL string } }
	if err != nil || json.Unmarshal(res.body, &signed) != nil || len(signed.URLs) != 1 {
		s.t.Fatalf("%v\n%s\n%s", err, res.body, s.log)
	}
	path, ok := strings.CutPrefix(signed.URLs[0].URL, "https://img.example/img/")
	if !ok {
		s.t.Errorf("the URL is %s", signed.URLs[0].URL)
	}
	got := s.get("/img/" + path)
	if got.StatusCode != 200 || got.Header.Get("Content-Type") != "image/webp" || !whole(got.body, "webp") {
		s.t.Errorf("got %d %s %.300s\n%s", got.StatusCode, got.Header.Get("Content-Type"), got.body, s.log)
	}
}
