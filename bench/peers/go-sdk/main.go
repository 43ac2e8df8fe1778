// The official Go SDK as a program: list, then the Downloader for large objects and one GET for small ones, CRC-64 checked for all.
// oss-go-sdk ENDPOINT BUCKET PREFIX TARGET OBJECTS PARTS PART_BYTES; credentials from ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
)

// What the Downloader would fetch in one part anyway goes through GetObjectToFile, which saves its HEAD.
const wholeBytes = 6 << 20

type job struct {
	key   string
	bytes int64
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	exitOn(err)
	return value
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	endpoint, bucket, prefix, target := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	objects, parts, partBytes := number(os.Args[5]), number(os.Args[6]), number(os.Args[7])
	id, secret := os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"), os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
	client := oss.NewClient(oss.LoadDefaultConfig().
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(id, secret)).
		WithRegion("cn-hangzhou").WithEndpoint(endpoint).WithUsePathStyle(true).
		WithInsecureSkipVerify(true).WithMaxConnections(max(objects, parts*4)))
	downloader := client.NewDownloader(func(options *oss.DownloaderOptions) {
		options.ParallelNum = parts
		options.PartSize = int64(partBytes)
	})

	jobs := make(chan job, 1000)
	var folders sync.Map
	var workers sync.WaitGroup
	for range objects {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for next := range jobs {
				path := filepath.Join(target, strings.TrimPrefix(next.key, prefix))
				folder := filepath.Dir(path)
				if _, known := folders.Load(folder); !known {
					exitOn(os.MkdirAll(folder, 0o755))
					folders.Store(folder, true)
				}
				request := &oss.GetObjectRequest{Bucket: oss.Ptr(bucket), Key: oss.Ptr(next.key)}
				var err error
				if next.bytes <= wholeBytes {
					_, err = client.GetObjectToFile(context.Background(), request, path)
				} else {
					_, err = downloader.DownloadFile(context.Background(), request, path)
				}
				exitOn(err)
			}
		}()
	}
	pages := client.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{
		Bucket: oss.Ptr(bucket), Prefix: oss.Ptr(prefix), MaxKeys: 1000,
	})
	for pages.HasNext() {
		page, err := pages.NextPage(context.Background())
		exitOn(err)
		for _, object := range page.Contents {
			jobs <- job{oss.ToString(object.Key), object.Size}
		}
	}
	close(jobs)
	workers.Wait()
}
