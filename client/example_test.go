package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/goldcrest/goldcrest/client"
)

// A backend hands out one URL for a picture; every phone that asks within the day gets the same.
func ExampleSigner_URL() {
	s, err := client.New(client.Config{BaseURL: "https://img.example.com", Key: "736563726574", Salt: "68656c6c6f"})
	if err != nil {
		fmt.Println(err)
		return
	}
	url, err := s.URL("https://example.com/cat.jpg", "rs:fit:480:0/net:2g", 0, 0)
	fmt.Println(url, err)
	// Output: https://img.example.com/8B9L9bTFKC8UHaUeQQLhbE2YN2Yq29NCZ-gb6qR9KlU/rs:fit:480:0/net:2g/aHR0cHM6Ly9leGFtcGxlLmNvbS9jYXQuanBn <nil>
}

// Units are posted as they are; the answer holds the signed URL of every variant. Here a stand-in answers for the
// server.
func ExampleAPI_Prewarm() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"job": "j1", "state": "queued", "units": [{"index": 0, "id": "du_1", "images": [{"source": "https://example.com/cat.jpg",
			"variants": [{"name": "lite", "url": "https://img.example.com/S/pr:lite/aHR0cHM6Ly9leGFtcGxlLmNvbS9jYXQuanBn"}]}]}]}`)
	}))
	defer server.Close()
	api, err := client.NewAPI(client.APIConfig{URL: server.URL, Token: "a-token-with-scope-prewarm"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	accepted, err := api.Prewarm(ctx, client.Call{
		Units:    []client.Unit{{ID: "du_1", Data: json.RawMessage(`{"photo": "https://example.com/cat.jpg"}`)}},
		Variants: []client.Variant{{Name: "lite"}},
		Key:      "task-4711", // the same call again gives the same job
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(accepted.Job, accepted.Units[0].Images[0].Variants[0].URL)
	// Output: j1 https://img.example.com/S/pr:lite/aHR0cHM6Ly9leGFtcGxlLmNvbS9jYXQuanBn
}

// A callback is believed only when it carries the signature of its secret.
func ExampleVerifyWebhook() {
	header := http.Header{}
	header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	header.Set("webhook-timestamp", "1614265330")
	header.Set("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	received := time.Unix(1614265331, 0)
	for _, body := range []string{`{"test": 2432232314}`, `{"test": 1}`} {
		err := client.VerifyWebhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", header, []byte(body), received, 0)
		fmt.Println(body, errors.Is(err, client.ErrWebhook))
	}
	// Output:
	// {"test": 2432232314} false
	// {"test": 1} true
}
