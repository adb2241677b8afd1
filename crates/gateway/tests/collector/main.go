// The receiver of the OpenTelemetry Collector, for the gateway's tests: what it decodes it writes to stdout, one JSON
// object a batch, by its own marshaler. Options are those of the receiver's `protocols.http`, as name=value; `::` stands
// between the levels of a name.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

var out sync.Mutex

func write(ctx context.Context, signal string, batch []byte, err error) error {
	if err == nil {
		credential := client.FromContext(ctx).Metadata.Get("authorization")
		out.Lock()
		defer out.Unlock()
		_, err = fmt.Printf("{\"signal\":%q,\"authorization\":%q,\"batch\":%s}\n", signal, strings.Join(credential, ","), batch)
	}
	return err
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	options := map[string]any{"include_metadata": true}
	for _, arg := range os.Args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		options[name] = value
	}
	factory, ctx := otlpreceiver.NewFactory(), context.Background()
	config := factory.CreateDefaultConfig()
	conf := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{"http": options}})
	check(conf.Unmarshal(config))
	settings := receiver.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	logs, err := consumer.NewLogs(func(ctx context.Context, batch plog.Logs) error {
		json, err := (&plog.JSONMarshaler{}).MarshalLogs(batch)
		return write(ctx, "logs", json, err)
	})
	check(err)
	traces, err := consumer.NewTraces(func(ctx context.Context, batch ptrace.Traces) error {
		json, err := (&ptrace.JSONMarshaler{}).MarshalTraces(batch)
		return write(ctx, "traces", json, err)
	})
	check(err)
	forLogs, err := factory.CreateLogs(ctx, settings, config, logs)
	check(err)
	forTraces, err := factory.CreateTraces(ctx, settings, config, traces)
	check(err)
	check(forLogs.Start(ctx, componenttest.NewNopHost()))
	check(forTraces.Start(ctx, componenttest.NewNopHost()))
	select {}
}
