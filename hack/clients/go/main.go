// What Google's Go libraries do in an injected pod, configured by its environment alone: Application Default Credentials by
// golang.org/x/oauth2/google, a model call with them, and, with -metadata, what cloud.google.com/go/compute/metadata reads.
//
// Prints what came back as one line of JSON. An error is the library's own, with exit code 1.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const account = "instance/service-accounts/default/"

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	came := map[string]any{}
	if len(os.Args) > 2 && os.Args[2] == "-metadata" {
		read(ctx, came)
	}
	call(ctx, os.Args[1], came)
	must(struct{}{}, json.NewEncoder(os.Stdout).Encode(came))
}

// read asks the metadata server in each of the library's ways.
func read(ctx context.Context, came map[string]any) {
	came["on_gce"] = metadata.OnGCEWithContext(ctx)
	came["project"] = must(metadata.ProjectIDWithContext(ctx))
	came["number"] = must(metadata.NumericProjectIDWithContext(ctx))
	came["email"] = must(metadata.EmailWithContext(ctx, ""))
	came["scopes"] = must(metadata.ScopesWithContext(ctx, "default"))
	came["accounts"] = strings.Fields(must(metadata.GetWithContext(ctx, "instance/service-accounts/")))
	var whole struct{ Email string }
	must(struct{}{}, json.Unmarshal([]byte(must(metadata.GetWithContext(ctx, account+"?recursive=true"))), &whole))
	came["recursive"] = whole.Email
	_, err := metadata.GetWithContext(ctx, "instance/attributes/no-such-thing")
	_, came["undefined"] = err.(metadata.NotDefinedError)

	// Subscribe reads the value and then waits for its next change, which does not come while this program runs.
	waits, cancel := context.WithTimeout(ctx, 3*time.Second)
	seen := []string{}
	err = metadata.SubscribeWithContext(waits, account+"email", func(_ context.Context, value string, ok bool) error {
		seen = append(seen, value)
		if len(seen) > 1 {
			return fmt.Errorf("%v are %d values of one that does not change", seen, len(seen))
		}
		return nil
	})
	cancel()
	came["subscribed"], came["ended_by"] = seen, fmt.Sprint(waits.Err())
	if waits.Err() == nil {
		log.Fatal(err)
	}
}


// call asks a Gemini model with Application Default Credentials.
func call(ctx context.Context, model string, came map[string]any) {
	credentials := must(google.FindDefaultCredentials(ctx, "https://www.googleapis.com/auth/cloud-platform"))
	token := must(credentials.TokenSource.Token())
	came["credentials_project"] = credentials.ProjectID
	came["token"] = token.AccessToken
	came["lasts"] = time.Until(token.Expiry) > 5*time.Minute

	region, base := os.Getenv("GOOGLE_CLOUD_LOCATION"), os.Getenv("GOOGLE_VERTEX_BASE_URL")
	if base == "" {
		base = "https://" + region + "-aiplatform.googleapis.com"
	}
	url := fmt.Sprintf("%s/v1/projects/%s/locations/%s/publishers/google/models/%s:generateContent",
		base, os.Getenv("GOOGLE_CLOUD_PROJECT"), region, model)
	prompt := strings.NewReader(`{"contents":[{"role":"user","parts":[{"text":"Say hello."}]}]}`)
	client := oauth2.NewClient(ctx, oauth2.StaticTokenSource(token))
	answer := must(client.Post(url, "application/json", prompt))
	body := must(io.ReadAll(answer.Body))
	if answer.StatusCode != http.StatusOK {
		log.Fatalf("%s: %s", answer.Status, body)
	}
	var message struct {
		Candidates []struct{ Content struct{ Parts []struct{ Text string } } }
	}
	must(struct{}{}, json.Unmarshal(body, &message))
	came["message"] = message.Candidates[0].Content.Parts[0].Text
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}
