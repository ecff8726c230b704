// Reads YAML as kubectl does: a JSON string on each line of standard input, and for each a line with the JSON that it is, or with
// why it is none.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		read, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			read = []byte("error: " + strings.ReplaceAll(err.Error(), "\n", " "))
		}
		out.Write(read)
		out.WriteByte('\n')
		out.Flush()
	}
}
