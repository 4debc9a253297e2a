// A Go backend with the broker beside it: `cadzero-auth broker` runs on 127.0.0.1:8787, and this server passes two paths on.
// Set CADZERO_BROKER_TRUSTED_HOPS=1: this server is the one proxy in front of the broker.
package main

import (
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
)

func main() {
	broker, err := url.Parse(value("BROKER_URL", "http://127.0.0.1:8787"))
	if err != nil {
		log.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(broker) // appends the client's address to X-Forwarded-For
	http.Handle("/api/auth/", proxy)
	http.Handle("/openapi.json", proxy)
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("the rest of the server"))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+value("PORT", "3000"), nil))
}

func value(name, otherwise string) string {
	if set := os.Getenv(name); set != "" {
		return set
	}
	return otherwise
}
