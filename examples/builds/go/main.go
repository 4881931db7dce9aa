package main

import (
	"fmt"
	"os"

	"github.com/google/uuid"
)

var version string

func main() {
	id := uuid.NewSHA1(uuid.NameSpaceDNS, []byte("compose"))
	fmt.Println(version, id, os.Getuid())
}
