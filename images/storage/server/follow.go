package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/versity/versitygw/backend"
)

// How often mounted files are looked at. The kubelet takes up to two minutes to renew them.
const interval = 5 * time.Second

// follow has a new certificate served, and new keys let in. What cannot be read is said and tried
// again; what was there is used on.
func follow(ctx context.Context, o options, keys keyFolder, backend backend.Backend, reload chan<- struct{}) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	served, err := fingerprint(o.certificate, o.key)
	if err != nil {
		fmt.Fprintf(os.Stderr, "storage: certificate: %v\n", err)
	}
	allowed, err := keys.names()
	if err != nil {
		fmt.Fprintf(os.Stderr, "storage: keys: %v\n", err)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if now, err := fingerprint(o.certificate, o.key); err != nil {
			fmt.Fprintf(os.Stderr, "storage: certificate: %v\n", err)
		} else if !bytes.Equal(now, served) {
			served = now
			reload <- struct{}{}
		}
		names, err := keys.names()
		if err == nil && !slices.Equal(names, allowed) {
			if err = allow(ctx, backend, o.bucket, names); err == nil {
				allowed = names
				fmt.Printf("storage: %d access keys\n", len(names))
			}
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "storage: keys: %v\n", err)
		}
	}
}

func fingerprint(paths ...string) ([]byte, error) {
	sum := sha256.New()
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		sum.Write(content)
	}
	return sum.Sum(nil), nil
}
