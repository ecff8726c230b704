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
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var text string
		if err := json.Unmarshal(line, &text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		read, err := yaml.YAMLToJSON([]byte(text))
		if err != nil {
			read = []byte("error: " + strings.ReplaceAll(err.Error(), "\n", " "))
		}
		out.Write(read)
		out.WriteByte('\n')
		// Answers may wait as long as there are questions.
		if in.Buffered() == 0 {
			out.Flush()
		}
	}
}
