package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
)

// owner of the bucket. No key has this id, so the bucket's policy alone says who may do what.
const owner = "atelier-storage"

// openFolder keeps what belongs to an object in its extended attributes, where an object and its
// attributes appear at once; or, where the file system has none, in a folder of its own. A volume
// stays with what it began with.
func openFolder(data string) (backend.Backend, error) {
	objects, sidecar := filepath.Join(data, "objects"), filepath.Join(data, "attributes")
	if err := os.MkdirAll(objects, 0o700); err != nil {
		return nil, err
	}
	// One process has the volume: without the lock files for others, of which one would stay for each
	// name there has ever been.
	options := posix.PosixOpts{Concurrency: transfers, IOBufferSize: bufferBytes, ForceNoObjLockFile: true}
	options.SetNewDirPerm(0o700)
	options.SetNewFilePerm(0o600)

	var store meta.MetadataStorer = meta.XattrMeta{}
	if _, err := os.Stat(sidecar); err == nil || (meta.XattrMeta{}).Test(objects) != nil {
		if err := os.MkdirAll(sidecar, 0o700); err != nil {
			return nil, err
		}
		beside, err := meta.NewSideCar(sidecar)
		if err != nil {
			return nil, err
		}
		store, options.SideCarDir = beside, sidecar
		fmt.Println("storage: no extended attributes on this volume; they are kept in files")
	}
	return posix.New(objects, store, options)
}

func makeBucket(ctx context.Context, backend backend.Backend, bucket string) error {
	acl, err := json.Marshal(auth.ACL{Owner: owner})
	if err != nil {
		return err
	}
	err = backend.CreateBucket(context.WithValue(ctx, "bucket-owner", auth.Account{Access: owner}), //nolint:staticcheck // the server's own key
		&s3.CreateBucketInput{
			Bucket:                    &bucket,
			ObjectOwnership:           types.ObjectOwnershipBucketOwnerEnforced,
			CreateBucketConfiguration: &types.CreateBucketConfiguration{},
		}, acl)
	if err != nil && !errors.Is(err, s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, bucket)) {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return nil
}

// allow lets these keys list the bucket and read, write and delete its objects. Not the bucket
// itself: neither its policy, nor its removal, nor another bucket.
func allow(ctx context.Context, backend backend.Backend, bucket string, names []string) error {
	if len(names) == 0 {
		return backend.PutBucketPolicy(ctx, bucket, nil)
	}
	policy, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []any{
			statement(names, "arn:aws:s3:::"+bucket, "s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"),
			statement(names, "arn:aws:s3:::"+bucket+"/*", "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
				"s3:GetObjectAttributes", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
		},
	})
	if err != nil {
		return err
	}
	if err := backend.PutBucketPolicy(ctx, bucket, policy); err != nil {
		return fmt.Errorf("policy of bucket %s: %w", bucket, err)
	}
	return nil
}

func statement(names []string, resource string, actions ...string) map[string]any {
	return map[string]any{
		"Effect": "Allow", "Principal": map[string]any{"AWS": names}, "Action": actions, "Resource": resource,
	}
}
